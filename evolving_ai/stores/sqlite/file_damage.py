"""Whether a file is a whole SQLite database, whatever its schema: it is looked at, never changed."""

import contextlib
import sqlite3
from pathlib import Path

__all__ = ["file_damage"]

_BUSY_TIMEOUT_S = 10.0


def file_damage(path: Path) -> str | None:
    """The first thing that SQLite's own check finds wrong, in a line; None when the file is whole.

    It may be asked beside the file's writer.
    """
    try:
        address = f"{path.absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=_BUSY_TIMEOUT_S)) as connection:
            rows = connection.execute("PRAGMA integrity_check(1)").fetchall()
    except (sqlite3.DatabaseError, UnicodeDecodeError) as exc:
        return str(exc)
    said = str(rows[0][0]) if rows else "it gives no answer"
    return None if said == "ok" else " ".join(said.split())
