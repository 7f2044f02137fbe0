"""The holder of the listening socket: a process that hands it out and ends with the one that started it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from evolving_ai.errors import PlatformError
from evolving_ai.serving.children import SocketHolder
from evolving_ai.serving.listener import LISTENER_VARIABLE, receive_listener


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    with SocketHolder(tmp_path, "127.0.0.1", 0) as holder:
        yield holder.desk, holder.port


def test_everybody_who_asks_gets_the_same_socket(desk: tuple[Path, int]) -> None:
    path, port = desk

    with (
        receive_listener({LISTENER_VARIABLE: str(path)}) as one,
        receive_listener({LISTENER_VARIABLE: str(path)}) as two,
    ):
        assert one.getsockname() == two.getsockname() == ("127.0.0.1", port)
        assert one.fileno() != two.fileno()


def test_a_holder_that_is_gone_is_told_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="does not answer at"):
        receive_listener({LISTENER_VARIABLE: str(tmp_path / "none.sock")})
    with pytest.raises(PlatformError, match="`evolving-ai up` sets"):
        receive_listener({})


def test_a_port_that_is_taken_is_told_with_its_owner(desk: tuple[Path, int], tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()

    with (
        pytest.raises(PlatformError, match=rf"port {desk[1]} is taken by .+ \(process \d+\): .*--port"),
        SocketHolder(other, "127.0.0.1", desk[1]),
    ):
        pass


def test_an_address_of_another_machine_is_told(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match=r"203\.0\.113\.1:80"), SocketHolder(tmp_path, "203.0.113.1", 80):
        pass


def test_a_killed_holder_is_replaced_by_one_with_the_same_socket(tmp_path: Path) -> None:
    with SocketHolder(tmp_path, "127.0.0.1", 0) as holder:
        assert not holder.keep()
        first = holder.pid
        os.kill(first, signal.SIGKILL)
        os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)

        assert holder.keep()

        assert holder.pid != first
        with receive_listener({LISTENER_VARIABLE: str(holder.desk)}) as listener:
            assert listener.getsockname() == ("127.0.0.1", holder.port)


def test_the_holder_ends_when_its_parent_closes_the_pipe(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "evolving_ai.serving.listener_host", "--bind", "127.0.0.1", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--desk", str(tmp_path / "desk.sock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("ready ")

    process.communicate(timeout=10)

    assert process.returncode == 0


def test_the_holder_imports_nothing_heavy() -> None:
    check = "import sys, evolving_ai.serving.listener_host; print([m for m in sys.modules if m in %r])"
    heavy = ("ray", "uvicorn", "pydantic", "numpy", "yaml", "asyncio")

    found = subprocess.run([sys.executable, "-c", check % (heavy,)], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"
