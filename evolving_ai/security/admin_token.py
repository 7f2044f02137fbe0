"""The secret of an installation's own administrator: a file in the home that only its owner can read.

Whoever can read the home may do everything, which is no more than the owner of the files could do anyway. It is never
sent anywhere but to the platform of that home.
"""

import contextlib
import os
import re
from pathlib import Path

from evolving_ai._common.files import disk_errors
from evolving_ai._common.ids import new_id
from evolving_ai._common.secrets_source import SECRET_CHARS, new_secret
from evolving_ai.errors import CorruptionError, StorageError

__all__ = ["LOCAL_ADMIN", "LOCAL_TENANT", "ensure_admin_token"]

LOCAL_ADMIN = "local-admin"
"""The id of the administrator's key."""
LOCAL_TENANT = "local"
"""The installation's own tenant, which sees all others."""

_FILE = "admin.token"
_FORM = re.compile(rf"evai_{LOCAL_ADMIN}_[A-Za-z0-9_-]{{{SECRET_CHARS}}}")
_ANYBODY_ELSE = 0o077


def ensure_admin_token(home: Path) -> str:
    """The secret in `admin.token`, made (mode 0600, whole or not at all) when the file is absent.

    Of several callers at once all get the same one. StorageError when others than the owner can read or write it,
    CorruptionError when it holds something else.
    """
    path = home / _FILE
    with disk_errors(path):
        if not path.exists():
            _create(path, f"evai_{LOCAL_ADMIN}_{new_secret()}\n".encode())
        mode = path.stat().st_mode & 0o777
        content = path.read_bytes()
    if mode & _ANYBODY_ELSE:
        raise StorageError(
            f"{path} can be used by others (mode {mode:o}, expected 600): remove it, the next start makes a new one"
        )
    secret = content.decode(errors="replace").strip()
    if not _FORM.fullmatch(secret):
        raise CorruptionError(f"{path} holds no administrator's token: remove it, the next start makes a new one")
    return secret


def _create(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{new_id('new')}.tmp")
    try:
        file = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            os.write(file, data)
            os.fsync(file)
        finally:
            os.close(file)
        with contextlib.suppress(FileExistsError):  # another process was first: its token stands
            path.hardlink_to(temporary)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
