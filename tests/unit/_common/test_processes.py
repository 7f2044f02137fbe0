"""Processes are found by their mark and ended with it."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from evolving_ai._common.clock import ManualClock, SystemClock
from evolving_ai._common.processes import command_of, die_with_parent, end_marked, marked_processes, memory_bytes

MARK = f"EVOLVING_AI_TEST_MARK={os.getpid()}"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    name, _, value = MARK.partition("=")
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"],
        env={**os.environ, name: value},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=die_with_parent(),
    )
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_a_marked_process_is_found_and_measured(sleeper: subprocess.Popen[bytes]) -> None:
    assert marked_processes(MARK) == [sleeper.pid]
    assert marked_processes(f"{MARK}0") == []
    assert (memory_bytes(sleeper.pid) or 0) > 2**20
    assert "sys.stdin.read" in command_of(sleeper.pid)


def test_a_marked_process_is_killed_when_it_lingers(sleeper: subprocess.Popen[bytes]) -> None:
    assert end_marked(MARK, SystemClock(), linger_s=0.0, give_up_s=10.0) == []
    assert sleeper.wait() == -9


def test_no_marked_process_means_no_waiting() -> None:
    assert end_marked(MARK, ManualClock(), linger_s=0.0, give_up_s=1.0) == []


def test_a_process_that_is_gone_has_neither_memory_nor_command() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()

    assert memory_bytes(process.pid) is None
    assert command_of(process.pid) == ""
