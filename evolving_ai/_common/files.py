"""Files that are either whole or absent, also after a crash, and errors of the disk as one-line errors."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from evolving_ai.errors import StorageError

__all__ = ["disk_errors", "write_atomically"]


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system says about `path` into a StorageError that tells what to do."""
    try:
        yield
    except OSError as exc:
        raise StorageError(_explain(exc, path)) from exc


def _explain(exc: OSError, path: Path) -> str:
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no disk space left to write {path}: free some, or choose another --home; nothing was half-written"
    if exc.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{path} is not writable: change its permissions, or choose another place"
    if isinstance(exc, FileNotFoundError):
        return f"{path}: the folder does not exist; create it first"
    if isinstance(exc, IsADirectoryError):
        return f"{path} is a folder, expected a file name"
    return f"cannot write {path}: {exc.strerror or exc}"


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by `data`: readers see the old bytes or the new ones; durable when this returns."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with disk_errors(path):
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
