"""What this machine has, read once. Reading judges nothing: that is `doctor.machine_checks`."""

import os
import resource
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Machine", "read_machine"]

# Looked at, not written.
_SHM = Path("/dev/shm")  # noqa: S108  # nosec B108
_CGROUP = Path("/sys/fs/cgroup")
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Machine:
    """Facts. Sizes in bytes; `cores` and memory are what this process may use, of the machine or its container.

    `shm_free_bytes` None: there is no /dev/shm. `open_files` is the soft limit of descriptors of a process.
    """

    python: tuple[int, int]
    cores: float
    memory_bytes: int
    memory_free_bytes: int
    disk_free_bytes: int
    shm_free_bytes: int | None
    open_files: int


def read_machine(home: Path, cgroup: Path = _CGROUP) -> Machine:
    """The facts, with the disk that `home` lies on or would be made on."""
    total, free = _memory()
    limit = _memory_limit(cgroup)
    used = _number(cgroup / "memory.current")
    if limit is not None and limit < total:
        total, free = limit, min(free, limit - (used or 0))
    return Machine(
        python=sys.version_info[:2],
        cores=min(float(len(os.sched_getaffinity(0))), _core_limit(cgroup)),
        memory_bytes=total,
        memory_free_bytes=free,
        disk_free_bytes=shutil.disk_usage(_existing(home)).free,
        shm_free_bytes=shutil.disk_usage(_SHM).free if _SHM.is_dir() else None,
        open_files=_open_files(),
    )


def _existing(path: Path) -> Path:
    """The folder itself, or the nearest above it that there is."""
    return next((folder for folder in (path, *path.parents) if folder.is_dir()), Path("/"))


def _memory() -> tuple[int, int]:
    """All of it, and what can be had without swapping."""
    rows = {}
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        rows[name] = int(value.split()[0]) * _KIB
    return rows["MemTotal"], rows["MemAvailable"]


def _memory_limit(cgroup: Path) -> int | None:
    return _number(cgroup / "memory.max")


def _core_limit(cgroup: Path) -> float:
    """What a container may use of the processors: `cpu.max` holds microseconds in each period, or `max`."""
    try:
        quota, period = (cgroup / "cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return float("inf")
    return float("inf") if quota == "max" else int(quota) / int(period)


def _number(path: Path) -> int | None:
    """The number in a file of the control group; None when there is none, or it says `max`."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _open_files() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft
