"""Fail when a process of this run is still there: one that inherited the value of EVOLVING_AI_CI_RUN (Linux only).

Processes that are on their way out get some seconds; those that stay are named, ended, and the exit status is 1.
"""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

__all__ = ["leftovers"]

_VARIABLE = "EVOLVING_AI_CI_RUN"
_PATIENCE_S = 10.0


def leftovers(marker: bytes) -> dict[int, str]:
    """Command lines, by process id, of the other processes whose environment holds `marker`."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        if pid in (os.getpid(), os.getppid()):
            continue
        try:
            if marker in (folder / "environ").read_bytes().split(b"\0"):
                found[pid] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue  # it ended meanwhile, or belongs to somebody else
    return found


def main() -> int:
    """Wait, then name and end what is left."""
    marker = f"{_VARIABLE}={os.environ[_VARIABLE]}".encode()
    give_up = time.monotonic() + _PATIENCE_S
    while (found := leftovers(marker)) and time.monotonic() < give_up:
        time.sleep(0.2)
    for pid, command in found.items():
        sys.stderr.write(f"error: left running by the tests: {pid} {command[:200]}\n")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
