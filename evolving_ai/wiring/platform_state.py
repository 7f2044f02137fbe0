"""What is known of the platform of a home while it runs: `run.json`, and the lock that says whether it still does.

The process that supervises a platform holds the lock for its whole life; the kernel drops it with the process, so a
`run.json` without a held lock is a leftover. The lock file names the holder, also before there is a `run.json`.
"""

import contextlib
import fcntl
import json
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from evolving_ai._common.files import disk_errors, write_atomically
from evolving_ai.errors import LockedError

__all__ = ["MARK_VARIABLE", "PlatformState", "read_state", "remove_state", "run_lock", "supervisor_of"]

MARK_VARIABLE = "EVOLVING_AI_PLATFORM"
"""In the environment of every process of a platform: its temporary folder."""
_STATE = "run.json"
_LOCK = "run.lock"
_TRIES = 10
_TRY_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class PlatformState:
    """A platform that starts or runs. `started` is ISO 8601; `children` are process ids by what they are for."""

    pid: int
    started: str
    url: str
    port: int
    profile: str
    temp_dir: str
    version: str
    is_healthy: bool = False
    dashboard_url: str | None = None
    ray_address: str | None = None
    children: Mapping[str, int] = field(default_factory=dict)

    @property
    def mark(self) -> str:
        """What the environment of its processes holds."""
        return f"{MARK_VARIABLE}={self.temp_dir}"

    def save(self, home: Path) -> None:
        """Write `run.json`, whole."""
        document = {**asdict(self), "mark": self.mark}
        write_atomically(home / _STATE, json.dumps(document, indent=1).encode())


def read_state(home: Path) -> PlatformState | None:
    """What `run.json` says; None when there is none, or none that can be read."""
    names = {each.name for each in fields(PlatformState)}
    try:
        document: dict[str, Any] = json.loads((home / _STATE).read_bytes())
        return PlatformState(**{name: value for name, value in document.items() if name in names})
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def remove_state(home: Path) -> None:
    """Remove `run.json`, if there is one."""
    with disk_errors(home / _STATE):
        (home / _STATE).unlink(missing_ok=True)


@contextlib.contextmanager
def run_lock(home: Path) -> Iterator[None]:
    """Hold the lock of `home`'s platform. LockedError, which names the holder, when another process does."""
    path = home / _LOCK
    with disk_errors(path), contextlib.ExitStack() as stack:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        stack.callback(os.close, descriptor)
        if not _try_lock(descriptor):
            raise LockedError(_taken(home))
        os.truncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        kept = stack.pop_all()
    with kept:
        yield


def _try_lock(descriptor: int) -> bool:
    """Whether the lock is ours now. Who only looks (`supervisor_of`) holds it for an instant: that is waited for."""
    pause = threading.Event()
    for _ in range(_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pause.wait(_TRY_EVERY_S)
        else:
            return True
    return False


def _taken(home: Path) -> str:
    state = read_state(home)
    where = f" at {state.url}" if state is not None else ""
    return f"a platform of {home} runs already{where} (process {_holder(home)}): `evolving-ai down` ends it"


def _holder(home: Path) -> int | None:
    try:
        return int((home / _LOCK).read_bytes())
    except (OSError, ValueError):
        return None


def supervisor_of(home: Path) -> int | None:
    """The process that supervises `home`'s platform; None when nothing runs."""
    try:
        with (home / _LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(home)
    except OSError:
        return None
    return None
