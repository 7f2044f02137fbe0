"""`evolving-ai demo` as a user meets it when something goes wrong: always told in a line, and nothing left behind."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from evolving_ai._common.clock import SystemClock
from evolving_ai._common.processes import command_of, end_marked, marked_processes
from evolving_ai.wiring.platform_state import read_state
from tests.integration.cli.program import PROGRAM

pytestmark = [pytest.mark.ray, pytest.mark.slow]

END_S = 90.0
ENDING_S = 3.0


@pytest.fixture
def temporary() -> Iterator[Path]:
    """The folder for everything that the commands write: sockets lie in it, so its path is short.

    What a test that failed left running is ended.
    """
    with tempfile.TemporaryDirectory(prefix="evt") as folder:
        yield Path(folder)
        end_marked(f"TMPDIR={folder}", SystemClock(), linger_s=0.0, give_up_s=ENDING_S)


class Demo:
    """The command, running in the home `demo` of a folder; everything in its environment that must not lead it astray
    is there."""

    def __init__(self, temporary: Path, *arguments: object) -> None:
        self.home = temporary / "demo"
        astray = {"OPENAI_API_KEY": "k", "EVOLVING_AI_CONFIG": "/nowhere", "RAY_ADDRESS": "127.0.0.1:1"}
        self.process = subprocess.Popen(
            [PROGRAM, "demo", "--home", str(self.home), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **astray, "TMPDIR": str(temporary)},
        )

    def reach(self, text: str) -> None:
        """Return when a line with `text` was printed."""
        assert self.process.stderr is not None
        assert any(text in line for line in self.process.stderr), f"the demo ended before {text!r}"

    def end(self) -> tuple[int, str, list[str]]:
        """The exit code, stdout, and the lines on stderr that were not read yet."""
        output, errors = self.process.communicate(timeout=END_S)
        return self.process.returncode, output, errors.splitlines()


def left_over(temporary: Path) -> tuple[list[str], list[str]]:
    """Processes that the commands started, once those that are ending have, and files of theirs beside the home."""
    give_up = time.monotonic() + ENDING_S
    while (found := marked_processes(f"TMPDIR={temporary}")) and time.monotonic() < give_up:
        time.sleep(0.05)
    processes = [command_of(each) for each in found]
    return processes, [entry.name for entry in temporary.iterdir() if entry.name != "demo"]


def test_a_port_that_is_taken_is_told_in_a_line(temporary: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        demo = Demo(temporary, "--port", port)
        code, output, errors = demo.end()

    assert (code, output) == (1, "")
    assert errors[-1].startswith(f"error: port {port} is taken by ")
    assert left_over(temporary) == ([], [])


def test_two_at_once_do_not_disturb_each_other_and_an_interrupt_at_the_start_leaves_nothing(temporary: Path) -> None:
    first = Demo(temporary)
    first.reach("1/7")
    code, output, errors = Demo(temporary).end()
    assert (code, output, len(errors)) == (1, "", 1)
    assert errors[0].startswith(f"error: a demo runs in {first.home} (process {first.process.pid}): ")

    first.process.send_signal(signal.SIGINT)
    code, output, errors = first.end()
    assert (code, output, errors[-1]) == (130, "", "interrupted")
    assert left_over(temporary) == ([], [])


def test_an_interrupt_in_the_middle_leaves_nothing(temporary: Path) -> None:
    demo = Demo(temporary)
    demo.reach("3/7")
    demo.process.send_signal(signal.SIGINT)

    code, output, errors = demo.end()
    assert (code, output, errors[-1]) == (130, "", "interrupted")
    assert left_over(temporary) == ([], [])


@pytest.mark.parametrize(("victim", "at"), [("supervisor", "3/7"), ("raylet", "3/7")])
def test_a_platform_that_is_killed_is_told_in_a_line(victim: str, at: str, temporary: Path) -> None:
    demo = Demo(temporary)
    demo.reach(at)
    for process_id in victims(demo.home, victim):
        os.kill(process_id, signal.SIGKILL)

    code, output, errors = demo.end()
    assert (code, output) == (1, "")
    assert [line for line in errors if line.startswith("error: ")] == errors[-1:], errors
    assert left_over(temporary) == ([], [])


def victims(home: Path, name: str) -> list[int]:
    """The processes of the platform that bear a name."""
    state = read_state(home)
    assert state is not None
    if name == "supervisor":
        return [state.pid]
    found = [each for each in marked_processes(state.mark) if f"/{name}" in command_of(each).split(" --")[0]]
    assert found, name
    return found
