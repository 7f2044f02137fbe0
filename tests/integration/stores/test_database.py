"""A SQLite file on a real disk: modes, versions, locks, and errors as one line."""

import sqlite3
from pathlib import Path

import pytest

from evolving_ai.errors import CorruptionError, LockedError, StorageError
from evolving_ai.stores.sqlite.database import Database

SCHEMA = (("CREATE TABLE t (x INTEGER PRIMARY KEY) STRICT",),)
NEXT_SCHEMA = (*SCHEMA, ("ALTER TABLE t ADD COLUMN y TEXT",))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "x.db"


def rows(database: Database) -> list[int]:
    with database.read() as connection:
        return [row[0] for row in connection.execute("SELECT x FROM t ORDER BY x")]


def insert(database: Database, value: int) -> None:
    with database.write() as connection:
        connection.execute("INSERT INTO t (x) VALUES (?)", (value,))


def test_the_file_and_its_folder_are_the_owners_alone(path: Path) -> None:
    with Database.open(path, SCHEMA) as database:
        insert(database, 1)
        files = {entry.name: entry.stat().st_mode & 0o777 for entry in path.parent.iterdir()}

    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert set(files.values()) == {0o600}


def test_every_commit_is_flushed_and_logged_ahead(path: Path) -> None:
    with Database.open(path, SCHEMA) as database, database.read() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)


def test_a_block_that_breaks_a_constraint_leaves_nothing_and_tells_the_caller(path: Path) -> None:
    with Database.open(path, SCHEMA) as database:
        insert(database, 1)
        with pytest.raises(sqlite3.IntegrityError), database.write() as connection:
            connection.executemany("INSERT INTO t (x) VALUES (?)", [(2,), (1,)])

        assert rows(database) == [1]


def test_an_older_file_is_brought_to_the_newest_schema(path: Path) -> None:
    with Database.open(path, SCHEMA) as database:
        insert(database, 1)

    with Database.open(path, NEXT_SCHEMA) as database, database.read() as connection:
        assert connection.execute("SELECT x, y FROM t").fetchall() == [(1, None)]


def test_a_file_of_a_newer_release_is_refused(path: Path) -> None:
    Database.open(path, NEXT_SCHEMA).close()

    with pytest.raises(StorageError, match="has schema 2, written by a newer release; this one knows 1"):
        Database.open(path, SCHEMA)


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database, but long enough to look at" * 100)

    with pytest.raises(CorruptionError, match="is not a database"):
        Database.open(path, SCHEMA)


def test_a_folder_in_the_place_of_the_file_is_one_line(path: Path) -> None:
    path.mkdir(parents=True)

    with pytest.raises(StorageError, match="cannot be opened") as caught:
        Database.open(path, SCHEMA)

    assert "\n" not in str(caught.value)


def test_a_second_exclusive_opener_is_refused_until_the_first_closes(path: Path) -> None:
    with Database.open(path, SCHEMA, exclusive=True), pytest.raises(LockedError, match="in use by another process"):
        Database.open(path, SCHEMA, exclusive=True)

    Database.open(path, SCHEMA, exclusive=True).close()


def test_a_writer_that_waited_too_long_is_told_who_blocks_and_readers_are_not(path: Path) -> None:
    with (
        Database.open(path, SCHEMA) as first,
        Database.open(path, SCHEMA, busy_timeout_s=0.01) as second,
        first.write() as connection,
    ):
        connection.execute("INSERT INTO t (x) VALUES (1)")
        assert rows(second) == []
        with pytest.raises(LockedError, match="locked by another process"):
            insert(second, 2)


def test_a_file_that_cannot_be_written_is_one_line(path: Path) -> None:
    with Database.open(path, SCHEMA) as database:
        with database.read() as connection:
            connection.execute("PRAGMA query_only = ON")
        with pytest.raises(StorageError, match="cannot be opened or written"):
            insert(database, 1)
