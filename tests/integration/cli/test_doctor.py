"""`evolving-ai doctor` as a user runs it: on its own platform, on one that others use, and interrupted."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from evolving_ai._common.processes import marked_processes
from tests.integration.cli.keys_platform import serve
from tests.integration.cli.program import PROGRAM, Done, refused, run

pytestmark = [pytest.mark.ray, pytest.mark.slow]

PATIENCE_S = 280.0
END_S = 90.0


@pytest.fixture
def temporary() -> Iterator[Path]:
    """The folder for temporary files of the commands: sockets lie in it, so its path is short."""
    with tempfile.TemporaryDirectory(prefix="evt") as folder:
        yield Path(folder)


def doctor(temporary: Path, *arguments: object, code: int = 0) -> Done:
    """Run it with everything in the environment that must not lead it astray."""
    astray = {"OPENAI_API_KEY": "k", "EVOLVING_AI_BASE_URL": "http://127.0.0.1:1", "RAY_ADDRESS": "127.0.0.1:1"}
    done = subprocess.run(
        [PROGRAM, "doctor", "--home", str(temporary / "home"), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env={**os.environ, **astray, "TMPDIR": str(temporary)},
    )
    assert done.returncode == code, done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


def left_over(temporary: Path) -> tuple[list[int], list[Path]]:
    """Processes that the commands started, and files of theirs."""
    return marked_processes(f"TMPDIR={temporary}"), list(temporary.iterdir())


def test_a_real_run_passes_and_leaves_nothing(temporary: Path) -> None:
    done = doctor(temporary, "--json")

    found = done.document
    assert found["ok"] is True
    assert all(each["verdict"] in ("ok", "warning") for each in found["checks"])
    assert [each["name"] for each in found["scenarios"] if each["verdict"] != "ok"] == []
    assert len(found["scenarios"]) > 18
    assert "chat: answered by" in done.errors
    assert left_over(temporary) == ([], [])


def test_a_platform_survives_chaos(temporary: Path) -> None:
    done = doctor(temporary, "--chaos", "--seed", 3)

    for name in ("a gateway replica", "control", "the learner", "the holder of the socket"):
        assert f"{name} is killed" in done.output
    assert "under random faults (seed 3)" in done.output
    assert left_over(temporary) == ([], [])


@pytest.mark.parametrize("at", ["starting Ray", "the platform starts", "a revoked key is refused"])
def test_an_interrupt_leaves_nothing(at: str, temporary: Path) -> None:
    process = subprocess.Popen(
        [PROGRAM, "doctor", "--home", str(temporary / "home")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    with process:
        assert process.stderr is not None
        assert any(at in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=END_S)

    assert (process.returncode, output) == (130, "")
    assert errors.endswith("interrupted\n")
    assert left_over(temporary) == ([], [])


async def not_a_platform(scope: dict[str, Any], _receive: object, send: Any) -> None:
    """Answers everything with success."""
    assert scope["type"] == "http"
    body = orjson.dumps({"status": "ok", "version": "0", "control": True, "live": {"generation": 1}})
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


def test_scenarios_that_fail_make_the_exit_code_1(tmp_path: Path) -> None:
    with serve(not_a_platform) as url:
        key = {"EVOLVING_AI_API_KEY": "k-secret"}
        done = run("doctor", "--home", tmp_path, "--url", url, "--json", code=1, environment=key)

    verdicts = {each["name"]: each["verdict"] for each in done.document["scenarios"]}
    assert done.document["ok"] is False
    assert verdicts["health"] == "ok"
    assert verdicts["chat"] == verdicts["a wrong key is refused"] == "failed"
    assert verdicts["DNA is exchanged under load"] == verdicts["a revoked key is refused"] == "skipped"
    assert "k-secret" not in done.output + done.errors


def test_wrong_use_is_one_line(tmp_path: Path) -> None:
    where = ("doctor", "--home", tmp_path, "--url", "http://127.0.0.1:1")
    assert "--chaos kills processes" in refused(*where, "--chaos", code=2)
    assert "no key for http://127.0.0.1:1: set $EVOLVING_AI_API_KEY" in refused(*where, code=2)


def test_a_running_platform_is_examined_without_leaving_a_trace(temporary: Path) -> None:
    home = temporary / "home"
    home.mkdir(mode=0o700)
    (home / "config.yaml").write_text("dashboard: false\nreplay: {latency_scale: 0}\n")
    elsewhere = {"TMPDIR": str(temporary)}
    run("up", "--detach", "--port", "0", "--home", home, environment=elsewhere)
    try:
        url = run("status", "--json", "--home", home).document["url"]
        audit = run("audit", "log", "--json", "--home", home).document
        found = run("doctor", "--home", home, "--url", url, "--json").document
        assert run("audit", "log", "--json", "--home", home).document == audit
    finally:
        run("down", "--home", home)

    assert {each["verdict"] for each in found["scenarios"]} == {"ok", "skipped"}
    checks = {each["name"]: each for each in found["checks"]}
    assert "the platform of this home runs" in checks["port"]["detail"]
    assert {checks[name]["verdict"] for name in ("databases", "audit log", "live DNA", "home")} == {"ok"}
