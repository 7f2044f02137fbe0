"""Ending the platform of a home from another process."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from evolving_ai._common.clock import Clock
from evolving_ai._common.processes import end_marked
from evolving_ai.errors import LockedError, PlatformError
from evolving_ai.serving.supervisor import clean_up
from evolving_ai.wiring.platform_state import read_state, run_lock, supervisor_of

__all__ = ["Ending", "end_platform"]

_PATIENCE_S = 90.0
_KILLED_WITHIN_S = 15.0
_POLL_S = 0.1


class Ending(StrEnum):
    """What there was to end."""

    STOPPED = "stopped"
    CLEANED_UP = "not running; cleaned up what was left"
    NOT_RUNNING = "not running"


def end_platform(home: Path, clock: Clock, *, note: Callable[[str], None], patience_s: float = _PATIENCE_S) -> Ending:
    """Ask the supervisor to end; kill it and all that bears its mark when it does not. PlatformError when that fails.

    Answers that are under way are given their time to end, all in all `patience_s`.
    """
    supervisor = supervisor_of(home)
    if supervisor is None:
        return _leftovers(home, clock)
    note(f"stopping the platform (process {supervisor})")
    with contextlib.suppress(ProcessLookupError):
        os.kill(supervisor, signal.SIGTERM)
    if _has_ended(home, clock, patience_s):
        with contextlib.suppress(LockedError):  # another platform starts there already
            _leftovers(home, clock)  # it may have been killed in this very moment
        return Ending.STOPPED
    note(f"it did not stop within {patience_s:g} s: ending it by force")
    state = read_state(home)
    with contextlib.suppress(ProcessLookupError):
        os.kill(supervisor, signal.SIGKILL)
    if state is not None:
        end_marked(state.mark, clock, linger_s=0.0, give_up_s=_KILLED_WITHIN_S)
    if not _has_ended(home, clock, _KILLED_WITHIN_S):
        raise PlatformError(f"process {supervisor} cannot be ended: end it yourself")
    _leftovers(home, clock)
    return Ending.STOPPED


def _leftovers(home: Path, clock: Clock) -> Ending:
    if read_state(home) is None:
        return Ending.NOT_RUNNING
    with run_lock(home):
        return Ending.CLEANED_UP if clean_up(home, clock) else Ending.NOT_RUNNING


def _has_ended(home: Path, clock: Clock, within_s: float) -> bool:
    give_up_s = clock.monotonic_s() + within_s
    pause = threading.Event()
    while supervisor_of(home) is not None:
        if clock.monotonic_s() > give_up_s:
            return False
        pause.wait(_POLL_S)
    return True
