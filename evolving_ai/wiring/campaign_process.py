"""A campaign as a process of its own: started beside the platform, watched, and ended with everything it started."""

import contextlib
import os
import signal
import subprocess  # nosec B404 - starts our own command line
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

from evolving_ai._common.files import disk_errors
from evolving_ai.errors import PlatformError

__all__ = ["CampaignProcess", "Launch", "launch_campaign"]


class CampaignProcess(Protocol):
    """A process that was started."""

    def wait(self, timeout_s: float) -> int | None:
        """Its exit code, negative for a signal; None when it still runs after `timeout_s`. 0: look without waiting."""
        ...

    def kill(self) -> None:
        """End it and everything in its session, at once."""
        ...


Launch: TypeAlias = Callable[[Sequence[str], Path], CampaignProcess]
"""Starts the command line with these arguments; what it prints goes to the file."""


def launch_campaign(arguments: Sequence[str], log: Path) -> CampaignProcess:
    """Start `evolving-ai ARGUMENTS` in a session of its own, with this process's environment.

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
            start_new_session=True,
        )
    except OSError as exc:
        raise PlatformError(
            f"no process can be started for a campaign ({exc.strerror}): end others, then retry"
        ) from exc
    finally:
        os.close(output)
    return _Session(process)


class _Session:
    """The leader of a session."""

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
