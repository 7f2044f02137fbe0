"""Verdicts on what a machine has: pure functions of its facts.

The platform needs two processors and 4 GB; it was measured at 1.4 GB idle, all of its processes together.
"""

from evolving_ai.doctor.finding import Finding, Verdict
from evolving_ai.doctor.machine import Machine

__all__ = ["machine_findings"]

_GB = 10**9
_PYTHON = ((3, 11), (3, 13))
_CORES = 2
_MEMORY_BYTES = int(3.6 * _GB)
"""Of a machine sold with 4 GB: the kernel keeps some for itself."""
_FREE_MEMORY_BYTES = 2 * _GB
_DISK_BYTES, _LITTLE_DISK_BYTES = int(0.5 * _GB), 2 * _GB
_SHM_BYTES = 150 * 2**20
"""What Ray's object store takes at the least; with less it falls back to the disk."""
_OPEN_FILES, _FEW_OPEN_FILES = 256, 1024


def machine_findings(machine: Machine) -> tuple[Finding, ...]:
    """A finding for each fact."""
    return (_python(machine), _cores(machine), _memory(machine), _disk(machine), _shm(machine), _open_files(machine))


def _python(machine: Machine) -> Finding:
    text = ".".join(map(str, machine.python))
    lowest, highest = (".".join(map(str, version)) for version in _PYTHON)
    if _PYTHON[0] <= machine.python <= _PYTHON[1]:
        return Finding("Python", Verdict.OK, text)
    return Finding("Python", Verdict.FAILED, text, f"expected {lowest} to {highest}: install one of them")


def _cores(machine: Machine) -> Finding:
    detail = f"{machine.cores:g} processors may be used"
    if machine.cores >= _CORES:
        return Finding("processors", Verdict.OK, detail)
    return Finding(
        "processors", Verdict.FAILED, detail, f"expected at least {_CORES}: raise the limit of the container"
    )


def _memory(machine: Machine) -> Finding:
    detail = f"{_gb(machine.memory_bytes)}, {_gb(machine.memory_free_bytes)} free"
    if machine.memory_bytes < _MEMORY_BYTES:
        return Finding("memory", Verdict.FAILED, detail, "expected at least 4 GB: raise the limit of the container")
    if machine.memory_free_bytes < _FREE_MEMORY_BYTES:
        return Finding("memory", Verdict.WARNING, detail, f"end what is not needed: {_gb(_FREE_MEMORY_BYTES)} are used")
    return Finding("memory", Verdict.OK, detail)


def _disk(machine: Machine) -> Finding:
    detail = f"{_gb(machine.disk_free_bytes)} free for the home"
    if machine.disk_free_bytes < _DISK_BYTES:
        return Finding("disk", Verdict.FAILED, detail, f"free {_gb(_DISK_BYTES)} at least, or choose another --home")
    if machine.disk_free_bytes < _LITTLE_DISK_BYTES:
        return Finding("disk", Verdict.WARNING, detail, f"free some: {_gb(_LITTLE_DISK_BYTES)} last for a while")
    return Finding("disk", Verdict.OK, detail)


def _shm(machine: Machine) -> Finding:
    if machine.shm_free_bytes is None:
        return Finding(
            "shared memory", Verdict.WARNING, "there is no /dev/shm", "mount it: without it Ray uses the disk instead"
        )
    detail = f"{_gb(machine.shm_free_bytes)} free in /dev/shm"
    if machine.shm_free_bytes < _SHM_BYTES:
        return Finding(
            "shared memory", Verdict.WARNING, detail, "enlarge it (docker run --shm-size=256m), or free some"
        )
    return Finding("shared memory", Verdict.OK, detail)


def _open_files(machine: Machine) -> Finding:
    detail = f"{machine.open_files} for each process"
    if machine.open_files < _OPEN_FILES:
        return Finding("open files", Verdict.FAILED, detail, f"raise the limit: ulimit -n {_FEW_OPEN_FILES}")
    if machine.open_files < _FEW_OPEN_FILES:
        return Finding("open files", Verdict.WARNING, detail, "raise it for more connections: ulimit -n 4096")
    return Finding("open files", Verdict.OK, detail)


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / _GB:.1f} GB"
