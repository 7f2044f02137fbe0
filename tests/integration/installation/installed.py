"""A platform as a user has it: started by `evolving-ai up --detach`, asked over HTTP, ended by `evolving-ai down`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from evolving_ai._common.clock import SystemClock
from evolving_ai._common.processes import end_marked, marked_processes
from evolving_ai.serving.supervisor_desk import ask_supervisor
from evolving_ai.wiring.platform_state import PlatformState, read_state, supervisor_of
from evolving_ai.wiring.pool import load_pool

__all__ = ["Installed", "command", "environment_for", "error_of", "running", "until"]

PROGRAMS = Path(sys.executable).parent
START_S = 150
COMMAND_S = 60
END_S = 10.0
LOOK_EVERY_S = 0.05
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "XAI_API_KEY", "MISTRAL_API_KEY")
OURS = ("OPENAI_BASE_URL", "EVOLVING_AI_API_KEY", "EVOLVING_AI_BASE_URL", "EVOLVING_AI_CONFIG", "RAY_AUTH_MODE")

Json = dict[str, Any]


def environment_for(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a command: no provider's key, no other platform, the home's own."""
    clean = {name: value for name, value in os.environ.items() if name not in (*KEYS, *OURS)}
    return {**clean, "HOME": str(home.parent), "EVOLVING_AI_HOME": str(home), **(extra or {})}


def command(
    home: Path, *arguments: str, extra: Mapping[str, str] | None = None, timeout_s: float = COMMAND_S
) -> "subprocess.CompletedProcess[str]":
    """Run a program of the installation, whatever its exit code."""
    return subprocess.run(
        [PROGRAMS / arguments[0], *arguments[1:]],
        env=environment_for(home, extra),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def until(condition: Callable[[], Any], within_s: float, what: str) -> Any:
    """Wait for `condition` to be true, and give what it gave; the test fails when that does not come."""
    give_up = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < give_up, f"not within {within_s:g} s: {what}"
        time.sleep(LOOK_EVERY_S)
    return found


def error_of(answer: httpx.Response, status: int) -> Json:
    """The error object of a refusal, in the dialect of its route; everything that a refusal must keep is checked."""
    assert answer.status_code == status, answer.text
    said: Json = answer.json()["error"]
    is_own = answer.url.path.startswith("/api/")
    expected = {"code", "message", "hint", "request_id"} if is_own else {"message", "type", "param", "code"}
    assert said.keys() == expected
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"].startswith("req-")
    if is_own:
        assert said["request_id"] == answer.headers["x-request-id"]
    assert "\n" not in said["message"]
    assert "Traceback" not in answer.text
    return said


@dataclass(frozen=True)
class Installed:
    """A running platform."""

    home: Path
    state: PlatformState

    @property
    def url(self) -> str:
        return self.state.url

    @property
    def admin_key(self) -> str:
        return (self.home / "admin.token").read_text().strip()

    def run(self, *arguments: str, **extra: str) -> "subprocess.CompletedProcess[str]":
        """`evolving-ai ARGUMENTS` on the machine of the platform; it must end well."""
        done = command(self.home, "evolving-ai", *arguments, extra=extra)
        assert done.returncode == 0, done.stderr
        return done

    def run_json(self, *arguments: str) -> Any:
        """What `evolving-ai ARGUMENTS --json` prints."""
        return json.loads(self.run(*arguments, "--json").stdout)

    # --- HTTP ---------------------------------------------------------------------------------------------------------

    def send(self, method: str, path: str, body: Any = None, *, key: str | None = "", **options: Any) -> httpx.Response:
        """One request on a connection of its own; with the administrator's key unless told otherwise (None: none)."""
        headers = dict(options.pop("headers", {}))
        if key is not None:
            headers["authorization"] = f"Bearer {key or self.admin_key}"
        if body is not None:
            options["json"] = body
        with httpx.Client(base_url=self.url, trust_env=False, timeout=30) as client:
            return client.request(method, path, headers=headers, **options)

    def chat(self, prompt: str, *, model: str = "auto", key: str = "", **options: Any) -> httpx.Response:
        """One chat completion."""
        headers = options.pop("headers", {})
        body = {"model": model, "messages": [{"role": "user", "content": prompt}], **options}
        return self.send("POST", "/v1/chat/completions", body, key=key, headers=headers)

    def decision(self, request_id: str, key: str = "") -> Json:
        """A decision explained, once it is known."""

        def found() -> Json | None:
            answer = self.send("GET", f"/api/v1/ai/decisions/{request_id}", key=key)
            return answer.json() if answer.status_code == 200 else None

        explained: Json = until(found, 15, f"the decision {request_id} is recorded")
        return explained

    def new_key(self, tenant: str, role: str = "viewer", **wishes: Any) -> Json:
        """A key; every replica knows it."""
        answer = self.send("POST", "/api/v1/keys", {"tenant": tenant, "role": role, **wishes})
        assert answer.status_code == 201, answer.text
        key: Json = answer.json()
        return key

    # --- Processes ----------------------------------------------------------------------------------------------------

    def replicas(self, application: str) -> list[int]:
        """The processes of an application's replicas that run."""
        return sorted(
            replica["pid"]
            for each in ask_supervisor(self.state, {"ask": "status"})
            if each["name"] == application
            for deployment in each["deployments"]
            for replica in deployment["replicas"]
            if replica["state"] == "RUNNING"
        )

    def kill_replica(self, application: str) -> int:
        """Kill one replica as the kernel would, and give its process id as `status` said it."""
        (found,) = (each for each in self.run_json("status")["applications"] if each["name"] == application)
        victim = int(found["deployments"][0]["replicas"][0]["pid"])
        os.kill(victim, signal.SIGKILL)
        return victim

    def until_replaced(self, application: str, victim: int, count: int, within_s: float = 60) -> None:
        """Wait until `count` replicas run and `victim` is none of them."""

        def replaced() -> bool:
            now = self.replicas(application)
            return len(now) == count and victim not in now

        until(replaced, within_s, f"{application} has {count} replicas without {victim}")

    def is_well(self) -> bool:
        """Whether a replica serves and knows control."""
        answer = self.send("GET", "/api/v1/system/health", key=None)
        return answer.status_code == 200 and answer.json()["status"] == "ok"

    # --- Replay providers ---------------------------------------------------------------------------------------------

    def models(self) -> list[str]:
        """The models of the table."""
        return list(load_pool(self.home).models)

    @contextmanager
    def faults(self, *faults: Json) -> Iterator[None]:
        """Replay providers that fail inside the block."""
        base = str(load_pool(self.home).targets[0].base_url).removesuffix("/v1") + "/replay/faults"
        with httpx.Client(trust_env=False, timeout=10) as client:
            try:
                for fault in faults:
                    assert client.post(base, json=fault).status_code == 200
                yield
            finally:
                assert client.delete(base).json() == {"faults": []}

    # --- Logs ---------------------------------------------------------------------------------------------------------

    def logged_tracebacks(self) -> list[str]:
        """Lines of the logs that begin a traceback, with the file that they stand in."""
        logs = sorted((self.home / "logs").rglob("*.log"))
        return [
            f"{log.name}: {lines[place - 1 if place else 0]} ... {' | '.join(lines[place : place + 40])}"
            for log in logs
            for lines in [log.read_text(errors="replace").splitlines()]
            for place, line in enumerate(lines)
            if "Traceback" in line
        ]


@contextmanager
def running(
    home: Path, settings: Json, *, port: int, arguments: Sequence[str] = (), extra: Mapping[str, str] | None = None
) -> Iterator[Installed]:
    """A platform over `settings`, healthy inside the block; afterwards nothing of it is left, whatever happens."""
    home.mkdir(mode=0o700)
    (home / "config.yaml").write_text(yaml.safe_dump(settings))
    up = ["evolving-ai", "up", "--detach", "--port", str(port), *arguments]
    started = command(home, *up, extra=extra, timeout_s=START_S)
    state = read_state(home)
    try:
        assert started.returncode == 0, started.stderr
        assert state is not None
        installed = Installed(home, state)
        yield installed
        assert installed.logged_tracebacks() == []
        down = command(home, "evolving-ai", "down")
        assert down.returncode == 0, down.stderr
        assert supervisor_of(home) is None
        assert marked_processes(state.mark) == [], "the platform left processes running"
        assert not Path(state.temp_dir).exists()
    finally:
        if supervisor_of(home) is not None:
            command(home, "evolving-ai", "down")
        if state is not None:
            end_marked(state.mark, SystemClock(), linger_s=0.0, give_up_s=END_S)
