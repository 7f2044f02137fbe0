"""A campaign as a process of its own: started beside the platform, watched, and ended with everything it started.

It makes way for serving: it runs at a lower priority, on one core, and gives memory back that it does not use.
"""

import contextlib
import os
import signal
import subprocess  # nosec B404 - starts our own command line
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

from evolving_ai._common.files import disk_errors
from evolving_ai.errors import PlatformError

__all__ = ["CampaignProcess", "Launch", "launch_campaign"]

_NICER_BY = 10
"""A tenth of the share of a process that serves, where both want the same core."""
_LOWEST_PRIORITY = 19
_SETTINGS: Mapping[str, str] = {
    # Many campaigns share the cores: libraries that start a thread for each core would fight for them.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # One heap that shrinks again, instead of Arrow's beside glibc's: 215 MiB where it was 300, for 4 % more time.
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(4 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(4 * 2**20),
}
_CLUSTER = "RAY_ADDRESS"


class CampaignProcess(Protocol):
    """A process that was started."""

    def wait(self, timeout_s: float) -> int | None:
        """Its exit code, negative for a signal; None when it still runs after `timeout_s`. 0: look without waiting."""
        ...

    def kill(self) -> None:
        """End it and everything in its process group, at once."""
        ...


Launch: TypeAlias = Callable[[Sequence[str], Path], CampaignProcess]
"""Starts the command line with these arguments; what it prints goes to the file."""


def launch_campaign(arguments: Sequence[str], log: Path) -> CampaignProcess:
    """Start `evolving-ai ARGUMENTS` in a process group of its own, at a lower priority than this process.

    It has this process's environment, without RAY_ADDRESS: it evaluates in its process, or, where its file says
    `executor: ray`, on a Ray of its own.

    The log is replaced, and readable for its owner alone. StorageError when it cannot be written, PlatformError when
    no process can be started.
    """
    with disk_errors(log):
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        output = os.open(log, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    try:
        # The program is this interpreter; the arguments are a list that no shell reads.
        process = subprocess.Popen(  # noqa: S603  # nosec B603
            [sys.executable, "-m", "evolving_ai.cli.entry", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={name: value for name, value in {**os.environ, **_SETTINGS}.items() if name != _CLUSTER},
            # Not a session of its own: Linux shares cores out by session first, and by priority only within one.
            process_group=0,
        )
        _make_way(process.pid)
    except OSError as exc:
        raise PlatformError(
            f"no process can be started for a campaign ({exc.strerror}): end others, then retry"
        ) from exc
    finally:
        os.close(output)
    return _Group(process)


def _make_way(process_id: int) -> None:
    """Lower the priority of a process that has begun just now, and so of every thread that it will start."""
    lower = os.getpriority(os.PRIO_PROCESS, 0) + _NICER_BY
    with contextlib.suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PROCESS, process_id, min(lower, _LOWEST_PRIORITY))


class _Group:
    """The leader of a process group."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def wait(self, timeout_s: float) -> int | None:
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
