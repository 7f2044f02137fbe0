"""The audit log in one SQLite file, whose triggers refuse everything but adding the next entry.

Triggers keep honest programs honest; who can write the file can drop them. That is what the hashes are for.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from evolving_ai._common.clock import Clock
from evolving_ai.errors import LockedError, StorageError
from evolving_ai.stores.hash_chain import EMPTY_HEAD, StoredEntry, first_problem, read_entry, seal
from evolving_ai.stores.ports.audit import AuditEntry, AuditHead
from evolving_ai.stores.sqlite.database import Database, Schema

__all__ = ["SqliteAuditLog"]

_SCHEMA: Schema = (
    (
        """CREATE TABLE entries (
            sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, body BLOB NOT NULL, hash TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX entries_by_kind ON entries (kind, sequence)",
        # Replacing a row fires no trigger on deletion, so an entry may only be inserted behind the last one.
        """CREATE TRIGGER entries_are_appended BEFORE INSERT ON entries
            WHEN new.sequence IS NOT (SELECT ifnull(max(sequence), 0) + 1 FROM entries)
            BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END""",
        """CREATE TRIGGER entries_are_not_changed BEFORE UPDATE ON entries
            BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END""",
        """CREATE TRIGGER entries_are_not_removed BEFORE DELETE ON entries
            BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END""",
    ),
)

# A flipped bit can turn a value's type into another one, or text into bytes that are none.
_ENTRIES = """SELECT sequence, ifnull(CAST(kind AS BLOB), x''), ifnull(CAST(body AS BLOB), x''),
    ifnull(CAST(hash AS BLOB), x'') FROM entries"""


class SqliteAuditLog:
    """An `AuditLog` in a file, which it holds as the only writer. Close it when done."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    @classmethod
    def open(cls, path: Path, clock: Clock) -> Self:
        """Open the file, or create it; raises what `Database.open` raises."""
        return cls(Database.open(path, _SCHEMA, exclusive=True), clock)

    @classmethod
    def open_to_read(cls, path: Path, clock: Clock) -> Self:
        """Look at a log beside its writer; `append` is then refused with StorageError."""
        return cls(Database.open_to_read(path, _SCHEMA), clock)

    def append(self, kind: str, *, actor: str, subject: str, detail: Mapping[str, Any]) -> AuditEntry:
        with self._database.write() as connection:
            time = self._clock.now()
            stored = seal(_head(connection), time=time, kind=kind, actor=actor, subject=subject, detail=detail)
            connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?)", stored)
        return read_entry(stored)

    def entries(self, *, after: int = 0, limit: int | None = None, kind: str | None = None) -> tuple[AuditEntry, ...]:
        # Two queries, because one with "kind IS NULL OR" would read everything.
        matching = "sequence > :after" if kind is None else "kind = :kind AND sequence > :after"
        query = f"{_ENTRIES} WHERE {matching} ORDER BY sequence LIMIT :limit"
        wanted = {"after": after, "kind": kind, "limit": -1 if limit is None else limit}
        with self._database.read() as connection:
            return tuple(read_entry(stored) for stored in _stored(connection, query, wanted))

    def head(self) -> AuditHead:
        with self._database.read() as connection:
            return _head(connection)

    def verify(self, *, expected_head: AuditHead | None = None) -> str | None:
        try:
            with self._database.read() as connection:
                problem = first_problem(_stored(connection, f"{_ENTRIES} ORDER BY sequence"), expected_head)
        except LockedError:
            raise
        except StorageError as exc:
            return str(exc)
        return problem or next(iter(self._database.damage()), None)

    def close(self) -> None:
        """Give the file back."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _head(connection: sqlite3.Connection) -> AuditHead:
    last = next(_stored(connection, f"{_ENTRIES} ORDER BY sequence DESC LIMIT 1"), None)
    return EMPTY_HEAD if last is None else AuditHead(last.sequence, last.hash)


def _stored(
    connection: sqlite3.Connection, query: str, wanted: Mapping[str, object] | None = None
) -> Iterator[StoredEntry]:
    for sequence, kind, body, entry_hash in connection.execute(query, wanted or {}):
        yield StoredEntry(sequence, kind.decode(errors="replace"), body, entry_hash.decode(errors="replace"))
