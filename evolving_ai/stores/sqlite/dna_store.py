"""DNA in one SQLite file. Objects are filed under the hash of their bytes; a genome that many commits share, once."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from evolving_ai.domain.dna import Commit
from evolving_ai.errors import RefConflictError, RefNotFoundError, StorageError
from evolving_ai.stores.dna_objects import StoredCommit, damage, decode_commit
from evolving_ai.stores.sqlite.database import Database

__all__ = ["SqliteDnaStore"]

_SCHEMA = (
    (
        "CREATE TABLE genomes (hash TEXT PRIMARY KEY, data BLOB NOT NULL) STRICT, WITHOUT ROWID",
        """CREATE TABLE commits (
            hash TEXT PRIMARY KEY, genome TEXT NOT NULL REFERENCES genomes, data BLOB NOT NULL
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX commits_by_genome ON commits (genome)",
        "CREATE TABLE refs (name TEXT PRIMARY KEY, target TEXT NOT NULL REFERENCES commits) STRICT, WITHOUT ROWID",
    ),
)

# No hexadecimal digit sorts after "f", so this range holds exactly the hashes that start with the prefix.
_STARTS = "{0} >= :prefix AND {0} < :prefix || 'g'"


# A flipped bit can turn a value's type into another one: read every value as what it was stored as.
_GENOMES = "SELECT ifnull(CAST(hash AS TEXT), ''), ifnull(CAST(data AS BLOB), x'') FROM genomes"
_COMMITS = """SELECT ifnull(CAST(hash AS TEXT), ''), ifnull(CAST(genome AS TEXT), ''), ifnull(CAST(data AS BLOB), x'')
    FROM commits"""
_REFS = "SELECT ifnull(CAST(name AS TEXT), ''), ifnull(CAST(target AS TEXT), '') FROM refs"


class SqliteDnaStore:
    """A `DnaStore` in a file; several processes may write it, one after the other. Close it when done."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file, or create it; raises what `Database.open` raises."""
        return cls(Database.open(path, _SCHEMA))

    @classmethod
    def open_to_read(cls, path: Path) -> Self:
        """Look at an existing file; raises what `Database.open_to_read` raises, and so does every attempt to write."""
        return cls(Database.open_to_read(path, _SCHEMA))

    def put(self, commit: Commit) -> None:
        with self._database.write() as connection:
            for parent in commit.parents:
                _require(connection, parent)
            connection.execute(
                "INSERT INTO genomes VALUES (?, ?) ON CONFLICT DO NOTHING",
                (commit.genome.hash, commit.genome.to_bytes()),
            )
            connection.execute(
                "INSERT INTO commits VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (commit.hash, commit.genome.hash, commit.to_bytes()),
            )

    def get(self, commit_hash: str) -> Commit:
        with self._database.read() as connection:
            stored = _require(connection, commit_hash)
            row = connection.execute(f"{_GENOMES} WHERE hash = ?", (stored.genome_hash,)).fetchone()
        return decode_commit(stored, None if row is None else row[1])

    def find(self, prefix: str) -> tuple[str, ...]:
        query = f"SELECT hash FROM commits WHERE {_STARTS.format('hash')} OR {_STARTS.format('genome')} ORDER BY hash"  # noqa: S608
        with self._database.read() as connection:
            return tuple(row[0] for row in connection.execute(query, {"prefix": prefix}))

    def refs(self) -> Mapping[str, str]:
        with self._database.read() as connection:
            return MappingProxyType(dict(connection.execute(f"{_REFS} ORDER BY name")))

    def set_ref(self, name: str, *, expected: str | None, new: str | None) -> None:
        with self._database.write() as connection:
            row = connection.execute("SELECT target FROM refs WHERE name = ?", (name,)).fetchone()
            if (None if row is None else row[0]) != expected:
                raise RefConflictError(f"branch {name} has moved since it was read: read it again and retry")
            if new is None:
                connection.execute("DELETE FROM refs WHERE name = ?", (name,))
                return
            _require(connection, new)
            connection.execute("INSERT OR REPLACE INTO refs VALUES (?, ?)", (name, new))

    def check(self) -> tuple[str, ...]:
        lines = self._database.damage()
        try:
            with self._database.read() as connection:
                genomes = dict(connection.execute(_GENOMES))
                commits = [StoredCommit(*row) for row in connection.execute(_COMMITS)]
                refs = dict(connection.execute(_REFS))
        except StorageError as exc:
            return (*lines, str(exc))
        return (*lines, *damage(genomes, commits, refs))

    def close(self) -> None:
        """Give the file back."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _require(connection: sqlite3.Connection, commit_hash: str) -> StoredCommit:
    row = connection.execute(f"{_COMMITS} WHERE hash = ?", (commit_hash,)).fetchone()
    if row is None:
        raise RefNotFoundError(f"there is no commit {commit_hash[:12]}")
    return StoredCommit(*row)
