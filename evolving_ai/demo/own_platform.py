"""The platform of a demonstration: started in its home over replay providers, asked over HTTP, ended.

The rule kept here: no provider's key of the environment is used, and whatever ends the block, the platform is gone
afterwards, unless it is to be kept.
"""

import contextlib
import json
import os
import shutil
import signal
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from evolving_ai._common.clock import Clock
from evolving_ai._common.files import write_atomically
from evolving_ai._common.stop_request import StopRequest
from evolving_ai.errors import EvolvingAIError, PlatformError, StorageError
from evolving_ai.serving.detached import start_detached
from evolving_ai.serving.ending import end_platform
from evolving_ai.serving.replay_provider.faults import FaultKind
from evolving_ai.settings import CONFIG_VARIABLE
from evolving_ai.wiring.platform_state import supervisor_of
from evolving_ai.wiring.pool import load_pool, providers_in_environment

__all__ = ["DemoPlatform", "quiet_environment", "started_platform", "write_settings"]

_LEAST_FREE_BYTES = 256 * 1024
"""A database that grows needs more."""
_TIMEOUT_S = 15.0
_CHANGE_TIMEOUT_S = 60.0
"""A campaign is answered once it has begun, which takes seconds."""
_CONNECT_TIMEOUT_S = 5.0
_END_S = 25.0
"""It takes five; what hangs is ended by force, for nobody else uses this platform."""
_LOOK_EVERY_S = 0.2
_GONE_WITHIN_S = 10.0
_GONE_POLL_S = 0.05
_MATPLOTLIB_VARIABLE = "MPLCONFIGDIR"


class DemoPlatform:
    """A platform that runs: asked at `url` with the administrator's key. Use it from one thread; close it."""

    def __init__(self, home: Path, url: str) -> None:
        self.home = home
        self.url = url
        self._tls = ssl.create_default_context()  # never needed on loopback, and dear: one for all clients
        self.key = (home / "admin.token").read_text(encoding="utf-8").strip()
        self._client = self._new_client()
        self._targets = {target.model: target for target in load_pool(home).targets}

    def target_of(self, model: str) -> str:
        """As the port says."""
        return self._targets[model].name

    def check(self) -> None:
        """As the port says."""
        if shutil.disk_usage(self.home).free < _LEAST_FREE_BYTES:
            raise StorageError(f"no disk space left in {self.home}: free some, or choose another folder with --home")
        if supervisor_of(self.home) is None:
            raise PlatformError(f"the platform ended before the demo did: see {self.home / 'logs'}")

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """As the port says."""
        return _document(_asked(self._client, method, f"{self.url}{path}", body), f"{method} {path}")

    def close(self) -> None:
        """No more questions."""
        self._client.close()

    def _new_client(self) -> httpx.Client:
        headers = {"authorization": f"Bearer {self.key}"}
        return httpx.Client(headers=headers, verify=self._tls, trust_env=False)

    def breakers(self, looks: int) -> Mapping[str, Mapping[str, str]]:
        """As the port says."""
        found: dict[str, dict[str, str]] = {}
        for _ in range(looks):
            with self._new_client() as client:  # both questions on one connection, and so to one replica
                replica = _document(_asked(client, "GET", f"{self.url}/api/v1/system/health"), "health")["replica"]
                answer = _asked(client, "GET", f"{self.url}/api/v1/ai/providers")
            providers = _document(answer, "providers")["providers"]
            found[replica] = {
                target["model"]: target["breaker"] for provider in providers for target in provider["targets"]
            }
        return found

    def order_fault(self, model: str, kind: FaultKind | None, *, status: int | None = None) -> None:
        """As the port says. The replay providers need no key, and so get none."""
        url = f"{str(self._targets[model].base_url).removesuffix('/v1')}/replay/faults"
        ordered: dict[str, Any] | None = None if kind is None else {"model": model, "kind": kind.value}
        if ordered is not None and status is not None:
            ordered |= {"status": status}
        with httpx.Client(verify=self._tls, trust_env=False) as client:
            if ordered is None:
                answer = _asked(client, "DELETE", url, params={"model": model})
            else:
                answer = _asked(client, "POST", url, ordered)
        _document(answer, f"a fault of {model}")


def _asked(
    client: httpx.Client,
    method: str,
    url: str,
    body: Mapping[str, Any] | None = None,
    params: Mapping[str, str] | None = None,
) -> httpx.Response:
    timeout = httpx.Timeout(_TIMEOUT_S if method == "GET" else _CHANGE_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S)
    try:
        return client.request(method, url, json=body, params=params, timeout=timeout)
    except httpx.HTTPError as exc:
        path = httpx.URL(url).path
        raise PlatformError(f"{method} {path} got no answer ({type(exc).__name__}: {exc})") from exc


def _document(answer: httpx.Response, what: str) -> dict[str, Any]:
    shown = " ".join(answer.text[:300].split())
    try:
        document = answer.json()
    except ValueError:
        document = None
    if not answer.is_success or not isinstance(document, dict):
        raise PlatformError(f"{what} was answered {answer.status_code} {shown}")
    return document


def write_settings(home: Path, table: Path, latency_scale: float, *, has_dashboard: bool = False) -> None:
    """Write the `config.yaml` of a home whose replay providers answer from `table`.

    The live policy learns nothing: its visitors ask held-out questions, and what is compared is DNA, not who has seen
    more of them.
    """
    replay = {"table": str(table), "latency_scale": latency_scale}
    document = {"dashboard": has_dashboard, "data": str(table), "learning": False, "replay": replay}
    write_atomically(home / "config.yaml", json.dumps(document, indent=1).encode())  # JSON is YAML


def quiet_environment(home: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` for a platform that replays: no provider's key, no other settings, no cache outside the home."""
    keys = {each.api_key_env for each in providers_in_environment(environment).providers.values()}
    left = {name: value for name, value in environment.items() if name not in keys and name != CONFIG_VARIABLE}
    return {**left, _MATPLOTLIB_VARIABLE: str(home / "matplotlib")}


@contextlib.contextmanager
def started_platform(
    home: Path, port: int, clock: Clock, request: StopRequest, *, keep: bool, note: Callable[[str], None]
) -> Iterator[DemoPlatform]:
    """A platform in `home`, healthy inside the block. `port` 0: a free one; `keep`: it goes on after a good end.

    What `start_detached` raises when it cannot start; KeyboardInterrupt when `request` came meanwhile.
    """
    is_good = False
    supervisor = None
    try:
        environment = quiet_environment(home, os.environ)
        with _ended_when_asked(home, request):
            try:
                state = start_detached(home, ["--port", str(port)], note=note, environment=environment)
            except EvolvingAIError:
                request.check()
                raise
        supervisor = state.pid
        request.check()
        with contextlib.closing(DemoPlatform(home, state.url)) as platform:
            yield platform
        is_good = True
    finally:
        if not (keep and is_good):
            end_platform(home, clock, note=note, patience_s=_END_S)
            if supervisor is not None:
                _await_end(supervisor, clock)


def _await_end(supervisor: int, clock: Clock) -> None:
    """Return when the process is gone, not only its lock: it is a child of this one."""
    give_up_s = clock.monotonic_s() + _GONE_WITHIN_S
    pause = threading.Event()
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(supervisor, os.WNOHANG) == (0, 0) and clock.monotonic_s() < give_up_s:
            pause.wait(_GONE_POLL_S)


@contextlib.contextmanager
def _ended_when_asked(home: Path, request: StopRequest) -> Iterator[None]:
    """Inside the block, which waits for the platform to start, a request to stop is passed on to its supervisor."""
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(_LOOK_EVERY_S):
            if request.wait(0) and (supervisor := supervisor_of(home)) is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(supervisor, signal.SIGTERM)
                return

    watcher = threading.Thread(target=look, name="demo-start")
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()
