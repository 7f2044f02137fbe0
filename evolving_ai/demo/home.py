"""The home of a demonstration: a folder that is nobody else's, held by one demonstration at a time.

The rule kept here: nothing is removed from a folder that a demonstration has not marked as its own.
"""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from evolving_ai._common.clock import Clock
from evolving_ai._common.files import disk_errors, write_atomically
from evolving_ai.errors import LockedError, UsageError
from evolving_ai.home import open_home
from evolving_ai.serving.ending import end_platform
from evolving_ai.wiring.platform_state import supervisor_of

__all__ = ["DEFAULT_HOME", "claimed_home", "figures_path", "report_path"]

DEFAULT_HOME = Path("~/.evolving-ai-demo")
_MARKER = "demo.json"
_LOCK = "demo.lock"
_WHAT = "the home of `evolving-ai demo`, which removes it when it runs again"


def report_path(home: Path) -> Path:
    """Where the report of a demonstration lies."""
    return home / "report.html"


def figures_path(home: Path) -> Path:
    """Where everything that the report shows lies as JSON."""
    return home / "report.json"


@contextlib.contextmanager
def claimed_home(option: Path | None, clock: Clock, *, note: Callable[[str], None]) -> Iterator[Path]:
    """The folder, marked, empty but for that, and held inside the block.

    What a former demonstration left is removed. UsageError when the folder holds anything else; LockedError, which
    says how to end it, when another demonstration runs there or its platform still does. StorageError for what the
    disk refuses.
    """
    home = open_home(option or DEFAULT_HOME)
    _refuse_foreign(home)
    with _held(home):
        _refuse_foreign(home)
        supervisor = supervisor_of(home)
        if supervisor is not None:
            raise LockedError(
                f"the platform of a demo runs in {home} (process {supervisor}): "
                f"`evolving-ai down --home {home}` ends it, or choose another folder with --home"
            )
        write_atomically(home / _MARKER, json.dumps({"what": _WHAT, "pid": os.getpid()}).encode())
        end_platform(home, clock, note=note)  # one whose supervisor was killed may have left processes
        _empty(home)
        yield home


def _refuse_foreign(home: Path) -> None:
    with disk_errors(home):
        names = {entry.name for entry in home.iterdir()}
    if not (names <= {_MARKER, _LOCK} or _MARKER in names):
        raise UsageError(f"{home} holds something else than a demo: choose an empty or a new folder with --home")


@contextlib.contextmanager
def _held(home: Path) -> Iterator[None]:
    path = home / _LOCK
    with contextlib.ExitStack() as stack:
        with disk_errors(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            stack.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(_taken(home)) from None
        with disk_errors(path):
            os.truncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
        yield


def _taken(home: Path) -> str:
    try:
        holder = f"process {int((home / _LOCK).read_bytes())}"
        how = f"`kill {holder.split()[1]}` ends it"
    except (OSError, ValueError):
        holder, how = "another process", "wait until it ends"
    return f"a demo runs in {home} ({holder}): {how}, or choose another folder with --home"


def _empty(home: Path) -> None:
    with disk_errors(home):
        for entry in home.iterdir():
            if entry.name in (_MARKER, _LOCK):
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
