"""Who listens on a TCP port of this machine, as far as /proc tells this user."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from evolving_ai._common.processes import command_of

__all__ = ["port_owner"]

_LISTEN = "0A"


def port_owner(port: int) -> str | None:
    """`command (process N)` of who listens on `port`; None when nobody does or it is another user's process."""
    inodes = set(_listening_inodes(port))
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(_target(link) in wanted for link in (entry / "fd").iterdir()):
                return f"{command_of(int(entry.name))[:80]} (process {entry.name})"
    return None


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def _listening_inodes(port: int) -> Iterator[str]:
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        try:
            rows = table.read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            columns = row.split()
            if columns[3] == _LISTEN and int(columns[1].rpartition(":")[2], 16) == port:
                yield columns[9]
