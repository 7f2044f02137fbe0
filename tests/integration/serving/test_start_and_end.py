"""How a platform starts, fails to start, and ends: nothing is left in any case."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from evolving_ai._common.clock import SystemClock
from evolving_ai._common.processes import command_of, marked_processes
from evolving_ai.serving.ending import Ending, end_platform
from evolving_ai.serving.platform_status import platform_status
from evolving_ai.wiring.platform_state import PlatformState, read_state, supervisor_of
from tests.integration.serving.conftest import STOP_S, end, running, serve_document

pytestmark = [pytest.mark.ray, pytest.mark.slow]

Launch = Callable[..., "subprocess.Popen[str]"]


def failure_of(process: "subprocess.Popen[str]") -> str:
    """The one line that a supervisor which fails prints last."""
    said = process.communicate(timeout=100)[1].strip().splitlines()
    assert process.returncode == 1
    assert not any("Traceback" in line for line in said)
    return said[-1]


def await_state(home: Path, condition: Callable[[PlatformState], bool]) -> PlatformState:
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        state = read_state(home)
        if state is not None and condition(state):
            return state
        time.sleep(0.05)
    pytest.fail("the platform did not come that far")


def assert_nothing_is_left(home: Path, state: PlatformState) -> None:
    assert marked_processes(state.mark) == []
    assert not Path(state.temp_dir).exists()
    assert not (home / "run.json").exists()
    assert supervisor_of(home) is None


def test_an_end_hands_over_and_leaves_nothing(tmp_path: Path) -> None:
    with running(tmp_path / "home", serve_document()) as platform:
        assert platform_status(platform.home, SystemClock())["state"] == "running"
        second = subprocess.run(platform.process.args, capture_output=True, text=True, check=False, timeout=30)

        code, said = end(platform.process)

        assert code == 0
        assert "Traceback" not in said
        assert_nothing_is_left(platform.home, platform.state)
        assert len((platform.home / "drained.txt").read_text().splitlines()) == 2
        assert (platform.home / "control-stopped.txt").exists()
        assert second.returncode == 1
        assert second.stderr.startswith("error: a platform of ")
        assert f"runs already at {platform.state.url} (process {platform.state.pid})" in second.stderr
        assert oct((platform.home / "ray.token").stat().st_mode & 0o777) == "0o600"
        assert end_platform(platform.home, SystemClock(), note=print) is Ending.NOT_RUNNING


@pytest.mark.parametrize("victim", ["raylet", "gcs_server"])
def test_a_platform_whose_ray_is_killed_ends_by_itself_and_leaves_nothing(tmp_path: Path, victim: str) -> None:
    """Rule broken: a supervisor whose raylet was killed noticed nothing, and hung when it was asked to end."""
    with running(tmp_path / "home", serve_document()) as platform:
        found = [pid for pid in marked_processes(platform.state.mark) if f"/{victim} " in command_of(pid)]
        assert found
        for process_id in found:
            os.kill(process_id, signal.SIGKILL)

        # Not `communicate`: an agent of Ray's may hold the other end of a pipe for a while longer.
        assert platform.process.wait(60) == 1
        for pipe in (platform.process.stdin, platform.process.stdout, platform.process.stderr):
            if pipe is not None:
                pipe.close()
        assert_nothing_is_left(platform.home, platform.state)


def test_a_taken_port_is_refused_before_anything_starts(launched: Launch, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for profile in ("direct", "serve_ingress"):
            line = failure_of(launched(serve_document(), port=port, profile=profile))
            assert line.startswith(f"error: port {port} is taken by ")
            assert f"(process {os.getpid()})" in line
    assert not (tmp_path / "home" / "run.json").exists()


def test_an_unknown_key_of_the_serve_configuration_is_refused(launched: Launch) -> None:
    document = serve_document()
    document["applications"][0]["deployments"][0]["num_replica"] = 1

    line = failure_of(launched(document))

    assert line.endswith("unknown key applications[0].deployments[0].num_replica: did you mean num_replicas?")


def test_an_unknown_argument_of_an_application_is_refused(launched: Launch) -> None:
    assert "quite_s" in failure_of(launched(serve_document(gateway={"quite_s": 1})))


def test_a_deployment_that_cannot_be_built_ends_the_start(launched: Launch, tmp_path: Path) -> None:
    builder = {"builder": "tests.integration.serving.standins:fail_to_build"}

    line = failure_of(launched(serve_document(control=builder)))

    assert line.startswith("error: control did not start: ")
    assert "this builder fails on purpose" in line
    assert not (tmp_path / "home" / "run.json").exists()


@pytest.mark.parametrize("moment", ["begin", "ray", "deploy"])
def test_an_interrupt_at_any_moment_leaves_nothing(launched: Launch, tmp_path: Path, moment: str) -> None:
    home = tmp_path / "home"
    process = launched(serve_document())
    state = await_state(home, lambda known: moment != "deploy" or known.ray_address is not None)
    time.sleep({"begin": 0.0, "ray": 1.5, "deploy": 0.5}[moment])

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=STOP_S)

    assert process.returncode == 130
    assert_nothing_is_left(home, state)


def test_what_a_killed_supervisor_left_is_cleaned_up(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running(home, serve_document()) as platform:
        os.kill(platform.process.pid, signal.SIGKILL)
        platform.process.communicate(timeout=STOP_S)

        assert platform_status(home, SystemClock()) == {"state": "stopped"}
        assert end_platform(home, SystemClock(), note=print) is Ending.CLEANED_UP

        assert_nothing_is_left(home, platform.state)


def test_the_next_start_cleans_up_after_a_killed_one(tmp_path: Path, launched: Launch) -> None:
    home = tmp_path / "home"
    with running(home, serve_document()) as platform:
        os.kill(platform.process.pid, signal.SIGKILL)
        platform.process.communicate(timeout=STOP_S)
    process = launched(serve_document())
    state = await_state(home, lambda known: known.pid == process.pid)

    code, said = end(process)

    assert code == 130
    assert "cleaned up after a platform that ended" in said
    assert marked_processes(platform.state.mark) == []
    assert_nothing_is_left(home, state)
    shutil.rmtree(home)
