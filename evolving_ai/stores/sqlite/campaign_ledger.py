"""A campaign's log in one SQLite file: one transaction per batch, each row with its own checksum."""

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from evolving_ai._common.canonical import sha256_hex
from evolving_ai._common.files import disk_errors
from evolving_ai.domain.fitness import Evaluation
from evolving_ai.errors import CorruptionError, LockedError, RefNotFoundError
from evolving_ai.stores.ports import CandidateRecord
from evolving_ai.stores.sqlite.database import Database, Schema

__all__ = ["SqliteCampaignLedger", "writer_of"]

_CAMPAIGN = """
CREATE TABLE campaign (
    one INTEGER PRIMARY KEY CHECK (one = 1), header TEXT NOT NULL, sha256 TEXT NOT NULL,
    state TEXT NOT NULL, detail TEXT NOT NULL
) STRICT
"""
_CANDIDATE = """
CREATE TABLE candidate (
    idx INTEGER PRIMARY KEY, genome_hash TEXT NOT NULL, document TEXT NOT NULL, sha256 TEXT NOT NULL
) STRICT
"""
_EVALUATION = """
CREATE TABLE evaluation (
    idx INTEGER PRIMARY KEY REFERENCES candidate (idx), document TEXT NOT NULL, sha256 TEXT NOT NULL
) STRICT
"""
_SCHEMA: Schema = ((_CAMPAIGN, _CANDIDATE, _EVALUATION),)


class SqliteCampaignLedger:
    """A `CampaignLedger` in a file. `create` and `open` make one; the writer's process id stands in `<file>.lock`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def create(cls, path: Path, header: Mapping[str, Any]) -> Self:
        """A new ledger, held for writing. An existing one with the same header is opened; another: CorruptionError."""
        ledger = cls(_held(path))
        try:
            ledger._write_header(header)
        except BaseException:
            ledger.close()
            raise
        return ledger

    @classmethod
    def open(cls, path: Path, *, writer: bool) -> Self:
        """An existing ledger. `writer`: LockedError, with the process id, while another process writes it."""
        if not path.is_file():
            raise RefNotFoundError(f"no campaign ledger at {path}: `evolving-ai campaign list` shows what there is")
        ledger = cls(_held(path) if writer else Database.open_to_read(path, _SCHEMA))
        try:
            ledger.header()
        except BaseException:
            ledger.close()
            raise
        return ledger

    def header(self) -> Mapping[str, Any]:
        with self._database.read() as connection:
            row = connection.execute("SELECT header, sha256 FROM campaign").fetchone()
        if row is None:
            raise CorruptionError(f"{self._database.path} holds no campaign: it was never started; delete its folder")
        return self._document("the header", *row)

    def _write_header(self, header: Mapping[str, Any]) -> None:
        text = _text(header)
        with self._database.write() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO campaign VALUES (1, ?, ?, 'created', '{}')", (text, _checksum(text))
            )
            (stored,) = connection.execute("SELECT header FROM campaign").fetchone()
        if stored != text:
            raise CorruptionError(f"{self._database.path} belongs to another campaign: choose another id")

    def commit(self, candidates: Sequence[CandidateRecord], evaluations: Mapping[int, Evaluation]) -> tuple[int, ...]:
        with self._database.write() as connection:
            self._log(connection, candidates)
            return tuple(index for index in sorted(evaluations) if self._settle(connection, index, evaluations[index]))

    def _log(self, connection: sqlite3.Connection, candidates: Sequence[CandidateRecord]) -> None:
        for record in candidates:
            text = _text(record.document)
            cursor = connection.execute(
                "INSERT OR IGNORE INTO candidate VALUES (?, ?, ?, ?)",
                (record.index, record.genome_hash, text, _checksum(record.genome_hash + text)),
            )
            if cursor.rowcount == 0:
                self._refuse_another_genome(connection, record)

    def _refuse_another_genome(self, connection: sqlite3.Connection, record: CandidateRecord) -> None:
        query = "SELECT genome_hash FROM candidate WHERE idx = ?"
        (known,) = connection.execute(query, (record.index,)).fetchone()
        if known != record.genome_hash:
            raise CorruptionError(
                f"{self._database.path}: candidate {record.index} is logged as {known[:12]}, "
                f"not {record.genome_hash[:12]}"
            )

    def _settle(self, connection: sqlite3.Connection, index: int, evaluation: Evaluation) -> bool:
        text = _text(evaluation.to_json())
        try:
            cursor = connection.execute(
                "INSERT INTO evaluation VALUES (?, ?, ?) ON CONFLICT (idx) DO NOTHING", (index, text, _checksum(text))
            )
        except sqlite3.IntegrityError as exc:
            raise CorruptionError(f"{self._database.path}: candidate {index} has a result but is not logged") from exc
        return cursor.rowcount == 1

    def candidates(self) -> Iterator[tuple[CandidateRecord, Evaluation | None]]:
        query = (
            "SELECT c.idx, c.genome_hash, c.document, c.sha256, e.document, e.sha256"
            " FROM candidate c LEFT JOIN evaluation e ON e.idx = c.idx ORDER BY c.idx"
        )
        with self._database.read() as connection:
            rows = connection.execute(query).fetchall()
        for index, genome_hash, document, checksum, result, result_checksum in rows:
            yield self._record(index, genome_hash, document, checksum), self._evaluation(index, result, result_checksum)

    def _record(self, index: int, genome_hash: str, text: str, checksum: str) -> CandidateRecord:
        if _checksum(genome_hash + text) != checksum:
            raise CorruptionError(
                f"{self._database.path}: candidate {index} is damaged: restore the file from a backup"
            )
        return CandidateRecord(index=index, genome_hash=genome_hash, document=json.loads(text))

    def _evaluation(self, index: int, text: str | None, checksum: str | None) -> Evaluation | None:
        if text is None or checksum is None:
            return None
        return Evaluation.from_json(self._document(f"the result of candidate {index}", text, checksum))

    def _document(self, what: str, text: str, checksum: str) -> dict[str, Any]:
        if _checksum(text) != checksum:
            raise CorruptionError(f"{self._database.path}: {what} is damaged: restore the file from a backup")
        document: dict[str, Any] = json.loads(text)
        return document

    def set_state(self, state: str, detail: Mapping[str, Any]) -> None:
        with self._database.write() as connection:
            connection.execute("UPDATE campaign SET state = ?, detail = ?", (state, _text(detail)))

    def state(self) -> tuple[str, Mapping[str, Any]]:
        with self._database.read() as connection:
            state, detail = connection.execute("SELECT state, detail FROM campaign").fetchone()
        return state, json.loads(detail)

    def close(self) -> None:
        self._database.close()


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _checksum(text: str) -> str:
    return sha256_hex(text.encode())


def _lock_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _held(path: Path) -> Database:
    """The database, held for writing, with this process's id beside it for whoever is refused."""
    try:
        database = Database.open(path, _SCHEMA, exclusive=True)
    except LockedError as exc:
        raise LockedError(_who_holds(path)) from exc
    try:
        with disk_errors(_lock_file(path)):
            _lock_file(path).write_text(str(os.getpid()))
    except BaseException:
        database.close()
        raise
    return database


def writer_of(path: Path) -> str | None:
    """Who holds the ledger at `path` for writing ("process 123"); None when nobody does."""
    try:
        with _lock_file(path).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return _holder(path)
    return None


def _holder(path: Path) -> str:
    holder = _lock_file(path).read_text().strip() if _lock_file(path).exists() else ""
    return f"process {holder}" if holder.isdigit() else "another process"


def _who_holds(path: Path) -> str:
    who = _holder(path)
    return f"campaign {path.parent.name} is being run by {who}: wait for it, or `campaign stop {path.parent.name}`"
