"""Processes of this machine, found by a mark in their environment, and what they use.

The mark is inherited: it finds what a program started, and what that started in turn, also where the processes give
themselves other names, as Ray's do. It does not find the process that only set the mark for its children.
"""

import contextlib
import ctypes
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from evolving_ai._common.clock import Clock

__all__ = ["command_of", "die_with_parent", "end_marked", "marked_processes", "memory_bytes"]

_PR_SET_PDEATHSIG = 1
_POLL_S = 0.05


def marked_processes(mark: str) -> list[int]:
    """The ids of the living processes, but this one, whose environment holds `mark` (`NAME=value`)."""
    wanted = mark.encode()
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(entry.name) != os.getpid() and wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def end_marked(mark: str, clock: Clock, *, linger_s: float, give_up_s: float) -> list[int]:
    """Wait for the marked processes to end, kill those that have not after `linger_s`; those still there at the end.

    Returns as soon as there are none, at the latest after `give_up_s`.
    """
    started_s = clock.monotonic_s()
    pause = threading.Event()
    while (alive := marked_processes(mark)) and clock.monotonic_s() < started_s + give_up_s:
        if clock.monotonic_s() >= started_s + linger_s:
            for process_id in alive:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(process_id, signal.SIGKILL)
        pause.wait(_POLL_S)
    return alive


def memory_bytes(process_id: int) -> int | None:
    """The proportional set size: its own memory and its share of what it shares. None when that cannot be read."""
    try:
        text = Path(f"/proc/{process_id}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return None


def command_of(process_id: int) -> str:
    """The command line, blanks between its words; empty for a process that has ended."""
    try:
        raw = Path(f"/proc/{process_id}/cmdline").read_bytes()
    except OSError:
        return ""
    return raw.replace(b"\0", b" ").decode(errors="replace").strip()


def die_with_parent() -> Callable[[], None]:
    """What `subprocess.Popen` takes as `preexec_fn`: Linux kills the child when the thread that started it ends.

    So children end also when their parent is killed with -9 and can end nothing any more.
    """
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask_for_it() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return ask_for_it
