"""The books of money in one SQLite file: one transaction for each change, whatever it holds."""

import json
import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from evolving_ai.stores.ports.spend import (
    Account,
    AccountKey,
    Budget,
    Lease,
    ReplicaMark,
    SpendChange,
    SpendLine,
    SpendQuery,
    SpendRecord,
    SpendState,
)
from evolving_ai.stores.sqlite.database import Database, Schema

__all__ = ["SqliteSpendStore"]

_SCHEMA: Schema = (
    (
        """CREATE TABLE budget (
            scope TEXT PRIMARY KEY, cap_nano_usd INTEGER NOT NULL CHECK (cap_nano_usd >= 0), window TEXT NOT NULL
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE account (
            scope TEXT, window TEXT, start_s INTEGER,
            settled_nano_usd INTEGER NOT NULL CHECK (settled_nano_usd >= 0),
            forfeited_nano_usd INTEGER NOT NULL CHECK (forfeited_nano_usd >= 0),
            PRIMARY KEY (scope, window, start_s)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE lease (
            id TEXT PRIMARY KEY, replica TEXT NOT NULL,
            scope TEXT NOT NULL, window TEXT NOT NULL, start_s INTEGER NOT NULL,
            amount_nano_usd INTEGER NOT NULL CHECK (amount_nano_usd >= 0),
            settled_nano_usd INTEGER NOT NULL CHECK (settled_nano_usd >= 0),
            returned_nano_usd INTEGER NOT NULL CHECK (returned_nano_usd >= 0),
            expires_s REAL NOT NULL, is_ended INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE replica (
            name TEXT PRIMARY KEY, applied INTEGER NOT NULL, beyond TEXT NOT NULL, seen_s REAL NOT NULL
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE spend (
            day TEXT, tenant TEXT, key_id TEXT, target TEXT,
            attempts INTEGER NOT NULL CHECK (attempts >= 0),
            amount_nano_usd INTEGER NOT NULL CHECK (amount_nano_usd >= 0),
            PRIMARY KEY (day, tenant, key_id, target)
        ) STRICT, WITHOUT ROWID""",
    ),
)

_ADD_LINE = """
INSERT INTO spend VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    attempts = attempts + excluded.attempts, amount_nano_usd = amount_nano_usd + excluded.amount_nano_usd
"""
_SPEND = """
SELECT iif(:by_day, day, '') AS d, iif(:by_tenant, tenant, '') AS t, iif(:by_key_id, key_id, '') AS k,
    iif(:by_target, target, '') AS m, sum(attempts), sum(amount_nano_usd)
FROM spend
WHERE day >= ifnull(:since, '') AND (:until IS NULL OR day <= :until)
    AND (:tenant IS NULL OR tenant = :tenant) AND (:key_id IS NULL OR key_id = :key_id)
GROUP BY d, t, k, m ORDER BY d, t, k, m
"""


class SqliteSpendStore:
    """A `SpendStore` in a file. Close it when done."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the books to write them, or create them; raises what `Database.open` raises."""
        return cls(Database.open(path, _SCHEMA, exclusive=True))

    @classmethod
    def open_to_read(cls, path: Path) -> Self:
        """Look at books beside their writer; `commit` is then refused with StorageError."""
        return cls(Database.open_to_read(path, _SCHEMA))

    def load(self) -> SpendState:
        state = SpendState()
        with self._database.read() as connection:
            state.put(Budget(*row) for row in connection.execute("SELECT * FROM budget"))
            state.put(_account(row) for row in connection.execute("SELECT * FROM account"))
            state.put(_lease(row) for row in connection.execute("SELECT * FROM lease"))
            state.put(_mark(row) for row in connection.execute("SELECT * FROM replica"))
        return state

    def commit(self, change: SpendChange) -> None:
        with self._database.write() as connection:
            for record in change.drop:
                _drop(connection, record)
            for record in change.put:
                _put(connection, record)
            connection.executemany(_ADD_LINE, change.lines)

    def spend(self, query: SpendQuery) -> tuple[SpendLine, ...]:
        by = {f"by_{name}": name in query.by for name in ("day", "tenant", "key_id", "target")}
        bounds = {"since": query.since, "until": query.until, "tenant": query.tenant, "key_id": query.key_id}
        with self._database.read() as connection:
            return tuple(SpendLine(*row) for row in connection.execute(_SPEND, by | bounds))

    def close(self) -> None:
        """Give the file back."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _put(connection: sqlite3.Connection, record: SpendRecord) -> None:
    match record:
        case Budget():
            row: tuple[Any, ...] = (record.scope, record.cap_nano_usd, record.window)
            connection.execute("INSERT OR REPLACE INTO budget VALUES (?, ?, ?)", row)
        case Account():
            row = (*record.key, record.settled_nano_usd, record.forfeited_nano_usd)
            connection.execute("INSERT OR REPLACE INTO account VALUES (?, ?, ?, ?, ?)", row)
        case Lease():
            amounts = (record.amount_nano_usd, record.settled_nano_usd, record.returned_nano_usd)
            row = (record.id, record.replica, *record.account, *amounts, record.expires_s, record.is_ended)
            connection.execute("INSERT OR REPLACE INTO lease VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        case ReplicaMark():
            row = (record.replica, record.applied, json.dumps(record.beyond), record.seen_s)
            connection.execute("INSERT OR REPLACE INTO replica VALUES (?, ?, ?, ?)", row)


def _drop(connection: sqlite3.Connection, record: SpendRecord) -> None:
    match record:
        case Budget():
            connection.execute("DELETE FROM budget WHERE scope = ?", (record.scope,))
        case Account():
            connection.execute("DELETE FROM account WHERE scope = ? AND window = ? AND start_s = ?", record.key)
        case Lease():
            connection.execute("DELETE FROM lease WHERE id = ?", (record.id,))
        case ReplicaMark():
            connection.execute("DELETE FROM replica WHERE name = ?", (record.replica,))


def _account(row: tuple[Any, ...]) -> Account:
    scope, window, start_s, settled, forfeited = row
    return Account(AccountKey(scope, window, start_s), settled, forfeited)


def _lease(row: tuple[Any, ...]) -> Lease:
    lease_id, replica, scope, window, start_s, amount, settled, returned, expires_s, is_ended = row
    account = AccountKey(scope, window, start_s)
    return Lease(lease_id, replica, account, amount, settled, returned, expires_s, bool(is_ended))


def _mark(row: tuple[Any, ...]) -> ReplicaMark:
    name, applied, beyond, seen_s = row
    return ReplicaMark(name, applied, tuple(json.loads(beyond)), seen_s)
