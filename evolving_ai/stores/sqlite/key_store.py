"""API keys in one SQLite file: hashes of secrets, never secrets."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from evolving_ai.domain.identity import Role
from evolving_ai.errors import CorruptionError
from evolving_ai.stores.ports.keys import KeyLimits, KeyRecord, KeyTable
from evolving_ai.stores.sqlite.database import Database, Schema

__all__ = ["SqliteKeyStore"]

_SCHEMA: Schema = (
    (
        """CREATE TABLE keys (
            key_id TEXT PRIMARY KEY, name TEXT NOT NULL, tenant TEXT NOT NULL, role INTEGER NOT NULL,
            secret_hash TEXT NOT NULL, created TEXT NOT NULL, expires TEXT, revoked TEXT, rotated TEXT,
            former_hash TEXT, former_until TEXT, requests_per_minute INTEGER, max_concurrent INTEGER
        ) STRICT, WITHOUT ROWID""",
        "CREATE TABLE revision (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL) STRICT",
        "INSERT INTO revision VALUES (1, 0)",
    ),
)
_KEYS = """SELECT key_id, name, tenant, role, secret_hash, created, expires, revoked, rotated, former_hash,
    former_until, requests_per_minute, max_concurrent FROM keys ORDER BY key_id"""
_PUT = "INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class SqliteKeyStore:
    """A `KeyStore` in a file, which it holds as the only writer. Close it when done."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file, or create it; raises what `Database.open` raises."""
        return cls(Database.open(path, _SCHEMA, exclusive=True))

    def load(self) -> KeyTable:
        with self._database.read() as connection:
            (revision,) = connection.execute("SELECT number FROM revision").fetchone()
            rows = connection.execute(_KEYS).fetchall()
        return KeyTable(revision, tuple(self._record(row) for row in rows))

    def commit(self, records: Sequence[KeyRecord]) -> int:
        with self._database.write() as connection:
            connection.executemany(_PUT, [_row(record) for record in records])
            ((revision,),) = connection.execute("UPDATE revision SET number = number + 1 RETURNING number").fetchall()
        return int(revision)

    def close(self) -> None:
        """Give the file back."""
        self._database.close()

    def _record(self, row: tuple[Any, ...]) -> KeyRecord:
        key_id, name, tenant, role, secret_hash, created, expires, revoked, rotated, former, until, *limits = row
        try:
            return KeyRecord(
                key_id=key_id,
                name=name,
                tenant=tenant,
                role=Role(role),
                secret_hash=secret_hash,
                created=datetime.fromisoformat(created),
                expires=_time(expires),
                revoked=_time(revoked),
                rotated=_time(rotated),
                former_hash=former,
                former_until=_time(until),
                limits=KeyLimits(*limits),
            )
        except ValueError as exc:
            text = f"{self._database.path}: the key {key_id} is damaged ({exc}): restore the file from a backup"
            raise CorruptionError(text) from exc

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _row(record: KeyRecord) -> tuple[object, ...]:
    return (
        record.key_id,
        record.name,
        record.tenant,
        int(record.role),
        record.secret_hash,
        record.created.isoformat(),
        _text(record.expires),
        _text(record.revoked),
        _text(record.rotated),
        record.former_hash,
        _text(record.former_until),
        record.limits.requests_per_minute,
        record.limits.max_concurrent,
    )


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
