"""One SQLite file, opened so that what was committed survives a crash, and its errors as our one-line errors.

The rule kept here: write-ahead log, `synchronous=FULL`, and every write in a `BEGIN IMMEDIATE` transaction, so a
transaction is on the disk when its block ends, or nothing of it is. Local file systems only.
"""

import contextlib
import fcntl
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

from evolving_ai._common.files import disk_errors
from evolving_ai.errors import CorruptionError, LockedError, StorageError

__all__ = ["Database", "Schema"]

Schema: TypeAlias = Sequence[Sequence[str]]
"""The statements that lead from version n to n + 1, for each n from 0 (an empty file)."""

_ROOM_TO_WORK_BYTES = 256 * 1024
_HOLD_TRIES = 5
_HOLD_PAUSE_S = 0.01


class Database:
    """A connection to one file; threads may share it, one at a time is served.

    Close it (or use it in a `with` statement). Foreign sqlite3 errors leave `read` and `write` as StorageError,
    CorruptionError or LockedError; sqlite3.IntegrityError passes, because only the caller knows what it means.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, lock_file: int | None = None) -> None:
        self._path = path
        self._connection = connection
        self._lock_file = lock_file
        self._turn = threading.RLock()

    @classmethod
    def open(cls, path: Path, schema: Schema, *, exclusive: bool = False, busy_timeout_s: float = 10.0) -> Self:
        """Open `path`, create it (and its folder, mode 0700) when absent, and bring it to the newest schema version.

        `exclusive`: LockedError while another process, or another Database of this one, has it open so; the hold
        ends with the process, however it dies. A write that waits longer than `busy_timeout_s` for another one is
        refused with LockedError. StorageError when a newer release wrote the file.
        """
        with disk_errors(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock_file = _hold(path) if exclusive else None
        try:
            connection = _connect(path, schema, busy_timeout_s)
        except BaseException:
            _release(lock_file)
            raise
        return cls(path, connection, lock_file)

    @classmethod
    def open_to_read(cls, path: Path, schema: Schema, *, busy_timeout_s: float = 10.0) -> Self:
        """Open an existing file beside its writer, without the means to change it.

        StorageError when it cannot be opened, or has another schema version than this release writes.
        """
        with _mapped_errors(path), _one_opener_at_a_time(path):
            address = f"{path.absolute().as_uri()}?mode=ro"
            connection = sqlite3.connect(
                address, uri=True, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False
            )
            try:
                found = _version(connection)
            except BaseException:
                connection.close()
                raise
        if found != len(schema):
            connection.close()
            raise StorageError(
                f"{path} has schema {found}, expected {len(schema)}: it was never finished, or another release wrote it"
            )
        return cls(path, connection)

    @property
    def path(self) -> Path:
        return self._path

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that nobody else writes in: durable when the block ends, undone when it raises."""
        with self._turn, _mapped_errors(self._path), _transaction(self._connection, "BEGIN IMMEDIATE"):
            yield self._connection

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """One consistent view of the file for the length of the block; it never waits for writers."""
        with self._turn, _mapped_errors(self._path), _transaction(self._connection, "BEGIN"):
            yield self._connection

    def damage(self) -> tuple[str, ...]:
        """What SQLite's own check finds wrong with the file's structure, a line each; empty when it is whole."""
        with self._turn:
            try:
                rows = self._connection.execute("PRAGMA integrity_check").fetchall()
            except sqlite3.DatabaseError as exc:
                return (f"{self._path.name}: {exc}",)
        lines = [line for (text,) in rows for line in str(text).splitlines() if line != "ok"]
        return tuple(f"{self._path.name}: {line}" for line in lines)

    def close(self) -> None:
        """Give the file back; closing again is no change."""
        with self._turn:
            self._connection.close()
            _release(self._lock_file)
            self._lock_file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _connect(path: Path, schema: Schema, busy_timeout_s: float) -> sqlite3.Connection:
    with _mapped_errors(path), _one_opener_at_a_time(path):
        _create_private(path)
        connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            _migrate(connection, path, schema)
        except BaseException:
            connection.close()
            raise
    return connection


def _create_private(path: Path) -> None:
    # SQLite gives the write-ahead log the mode of the database, so this one mode protects all of its files.
    with disk_errors(path), contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _migrate(connection: sqlite3.Connection, path: Path, schema: Schema) -> None:
    newest = len(schema)
    if _version(connection) == newest:
        return
    with _transaction(connection, "BEGIN IMMEDIATE"):
        found = _version(connection)
        if found > newest:
            raise StorageError(
                f"{path} has schema {found}, written by a newer release; this one knows {newest}: upgrade evolving-ai"
            )
        for statements in schema[found:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {newest}")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    connection.execute(begin)  # refuses to nest
    try:
        yield
        connection.execute("COMMIT")
    finally:
        # After some errors (disk full) SQLite has already rolled back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@contextlib.contextmanager
def _one_opener_at_a_time(path: Path) -> Iterator[None]:
    # Switching a new file to WAL does not wait for others as writes do: two openers at once would see "locked",
    # and so would the writer of a new file at which a reader looks.
    with disk_errors(path):
        folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _hold(path: Path) -> int:
    # A file beside the database: closing any descriptor of the database itself would drop SQLite's own locks.
    beside = path.with_name(f"{path.name}.lock")
    with disk_errors(beside):
        lock_file = os.open(beside, os.O_CREAT | os.O_RDWR, 0o600)
    # Whoever asks whether the lock is held has it for an instant: that is no reason to refuse.
    for _ in range(_HOLD_TRIES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock_file
        threading.Event().wait(_HOLD_PAUSE_S)
    os.close(lock_file)
    raise LockedError(f"{path} is in use by another process: wait until it ends, or stop it")


def _release(lock_file: int | None) -> None:
    if lock_file is not None:
        os.close(lock_file)


@contextlib.contextmanager
def _mapped_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.DatabaseError as exc:
        raise _explained(exc, path) from exc
    except UnicodeDecodeError as exc:  # sqlite3 cannot even say what is wrong: names in the schema are damaged
        raise CorruptionError(f"{path} is damaged ({exc.reason} in a name): restore it from a backup") from exc


def _is_disk_full(path: Path) -> bool:
    """SQLite calls a full disk an input/output error when it fills up while it extends its shared memory."""
    return shutil.disk_usage(path.parent).free < _ROOM_TO_WORK_BYTES


def _explained(exc: sqlite3.DatabaseError, path: Path) -> StorageError | sqlite3.DatabaseError:
    code = getattr(exc, "sqlite_errorname", "")
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return LockedError(f"{path} is locked by another process: wait until it ends, or stop it, then retry")
    if code.startswith("SQLITE_FULL") or (code.startswith("SQLITE_IOERR") and _is_disk_full(path)):
        return StorageError(f"no disk space left to write {path}: free some; nothing was half-written")
    if code.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN", "SQLITE_AUTH")):
        return StorageError(f"{path} cannot be opened or written ({exc}): check its permissions and its folder's")
    if code.startswith("SQLITE_NOTADB"):
        return CorruptionError(f"{path} is not a database: restore it from a backup, or move it away")
    if code.startswith("SQLITE_CORRUPT"):
        return CorruptionError(f"{path} is damaged ({exc}): restore it from a backup")
    if isinstance(exc, sqlite3.OperationalError):
        return StorageError(f"{path} refused the operation ({exc}): check the disk, then retry")
    return exc  # a ProgrammingError is a defect of ours, not of the disk
