"""Outcomes in one SQLite file, and, once they are old, as Parquet beside it.

A batch is stored as it came: a row of a few numbers, its header and its compressed body. Of each outcome only a place
is filed, under a number made of the beginning of its id. Ids are in order of time, so places are written at the end
of their tree, which makes them cheap; ids that are not ours are filed by their hash. Numbers of different ids may be
equal: the header tells which id was meant.

Tables: `batches` (one for each; `run` is the compaction that is moving it), `payloads` (head and body, see
`stores.outcome_codec`), `places`, `archived` (which batches of a replica were moved, as ranges of sequences),
`archives` (the Parquet files, see `stores.outcome_archive`), `runs` (compactions), `feedback` (every change of what
stands; the last one of a decision stands), `pending` (feedback whose outcome has not arrived).
"""

import hashlib
import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import orjson

from evolving_ai.domain.outcome import Feedback
from evolving_ai.stores.outcome_archive import ArchivedFile, OutcomeArchive
from evolving_ai.stores.outcome_codec import OutcomeHeader, check_payload, decode_outcomes, read_header
from evolving_ai.stores.pending_feedback import KEPT_S, may_still_arrive
from evolving_ai.stores.ports.outcomes import (
    OutcomeBatch,
    OutcomeCounts,
    OutcomeCursor,
    RecordedOutcome,
    ScoredOutcome,
)
from evolving_ai.stores.sqlite.database import Database

__all__ = ["SqliteOutcomeStore"]

_SCHEMA = (
    (
        """CREATE TABLE batches (
            number INTEGER PRIMARY KEY AUTOINCREMENT, replica TEXT NOT NULL, sequence INTEGER NOT NULL,
            outcomes INTEGER NOT NULL, scored INTEGER NOT NULL, last_s REAL NOT NULL, run INTEGER,
            UNIQUE (replica, sequence)
        ) STRICT""",
        "CREATE INDEX batches_by_run ON batches (run) WHERE run IS NOT NULL",
        """CREATE TABLE payloads (
            batch INTEGER PRIMARY KEY REFERENCES batches ON DELETE CASCADE, head BLOB NOT NULL, body BLOB NOT NULL
        ) STRICT""",
        "CREATE TABLE places (key INTEGER, batch INTEGER, PRIMARY KEY (key, batch)) STRICT, WITHOUT ROWID",
        """CREATE TABLE archived (
            replica TEXT, first INTEGER, last INTEGER NOT NULL, PRIMARY KEY (replica, first)
        ) STRICT, WITHOUT ROWID""",
        "CREATE TABLE runs (number INTEGER PRIMARY KEY AUTOINCREMENT) STRICT",
        """CREATE TABLE archives (
            name TEXT PRIMARY KEY, first_id TEXT NOT NULL, last_id TEXT NOT NULL, outcomes INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE feedback (
            number INTEGER PRIMARY KEY AUTOINCREMENT, decision_id TEXT NOT NULL, tenant TEXT NOT NULL,
            score REAL NOT NULL, comment TEXT, time_s REAL NOT NULL, previous REAL
        ) STRICT""",
        "CREATE INDEX feedback_by_decision ON feedback (decision_id, number)",
        """CREATE TABLE pending (
            decision_id TEXT, tenant TEXT, score REAL NOT NULL, comment TEXT, time_s REAL NOT NULL,
            PRIMARY KEY (decision_id, tenant)
        ) STRICT, WITHOUT ROWID""",
    ),
)
_OUTCOMES_OF_A_RUN = 10_000  # what a compaction holds in memory, and what one file holds
_KEY_START, _KEY_END = 4, 16  # 60 bits: after the prefix the nine digits of the time, and three of chance
_CROCKFORD, _PLAIN_32 = "0123456789abcdefghjkmnpqrstvwxyz", "0123456789abcdefghijklmnopqrstuv"

_STANDING = "SELECT decision_id, tenant, score, comment, time_s FROM feedback"


class _Filed(NamedTuple):
    """Where an outcome was found: in a batch, or in a file (`recorded`)."""

    tenant: str
    score: float | None
    batch: int = 0
    position: int = 0
    recorded: RecordedOutcome | None = None


class SqliteOutcomeStore:
    """An `OutcomeStore` in a file, which it holds as the only writer. Close it when done."""

    def __init__(self, database: Database, archive: OutcomeArchive) -> None:
        self._database = database
        self._archive = archive

    @classmethod
    def open(cls, path: Path, archive: OutcomeArchive) -> Self:
        """Open the file, or create it; `archive` takes what is compacted.

        Raises what `Database.open` raises; LockedError while another process has it open.
        """
        return cls(Database.open(path, _SCHEMA, exclusive=True), archive)

    def append(self, batch: OutcomeBatch) -> bool:
        head, body = check_payload(batch.payload)
        header = read_header(head)
        keys = _keys(header.ids)
        scored = sum(score is not None for score in header.scores)
        row = (batch.replica, batch.sequence, len(keys), scored, max(header.times_s, default=0.0))
        with self._database.write() as connection:
            if _is_stored(connection, batch):
                return False
            insert = "INSERT INTO batches (replica, sequence, outcomes, scored, last_s) VALUES (?, ?, ?, ?, ?)"
            number = connection.execute(insert, row).lastrowid
            connection.execute("INSERT INTO payloads VALUES (?, ?, ?)", (number, head, body))
            connection.executemany("INSERT OR IGNORE INTO places VALUES (?, ?)", zip(keys, itertools.repeat(number)))
            _attach_pending(connection, header)
        return True

    def find(self, decision_id: str, tenant: str | None = None) -> RecordedOutcome | None:
        with self._database.read() as connection:
            filed = _filed(connection, decision_id)
            names = () if filed else _files(connection, decision_id)
            standing = _standing(connection, decision_id)
            payload = _payload(connection, filed.batch) if filed else b""
        filed = filed or self._archived(names, decision_id)
        if filed is None or tenant not in (None, filed.tenant):
            return None
        if filed.recorded is not None:
            return RecordedOutcome(filed.recorded.outcome, standing or filed.recorded.feedback)
        return RecordedOutcome(decode_outcomes(payload, (filed.position,))[0], standing)

    def feedback(self, feedback: Feedback) -> bool:
        archived = self._archived_before(feedback.decision_id)
        with self._database.write() as connection:
            filed = _filed(connection, feedback.decision_id) or archived
            if filed is not None:
                if filed.tenant == feedback.tenant:
                    _attach(connection, feedback, filed.score)
                return filed.tenant == feedback.tenant
            if not may_still_arrive(feedback):
                return False
            connection.execute("DELETE FROM pending WHERE time_s < ?", (feedback.time_s - KEPT_S,))
            connection.execute("INSERT OR REPLACE INTO pending VALUES (?, ?, ?, ?, ?)", _feedback_row(feedback))
        return True

    def scored(
        self, after: OutcomeCursor, limit: int, *, with_unscored: bool = False
    ) -> tuple[Sequence[ScoredOutcome], OutcomeCursor]:
        with self._database.read() as connection:
            payloads, batch = _scored_payloads(connection, after.batch, limit, with_unscored=with_unscored)
            room = max(limit - sum(signals for signals, _ in payloads), 0)
            query = "SELECT number, decision_id, score, previous FROM feedback WHERE number > ? ORDER BY number LIMIT ?"
            changes = connection.execute(query, (after.feedback, room)).fetchall()
        found = [signal for _, payload in payloads for signal in _first_signals(payload, with_unscored=with_unscored)]
        for _, decision_id, score, previous in changes:
            recorded = self.find(decision_id)
            if recorded is not None:
                found.append(ScoredOutcome(recorded.outcome, score, previous))
        return found, OutcomeCursor(batch, changes[-1][0] if changes else after.feedback)

    def compact(self, older_than_s: float) -> int:
        moved = 0
        while self._claim(older_than_s):
            moved += self._finish_runs()
        return moved

    def counts(self) -> OutcomeCounts:
        queries = (
            "SELECT ifnull(sum(outcomes), 0) FROM batches",
            "SELECT ifnull(sum(outcomes), 0) FROM archives",
            "SELECT count(DISTINCT decision_id) FROM feedback",
        )
        with self._database.read() as connection:
            recent, archived, with_feedback = (int(connection.execute(query).fetchone()[0]) for query in queries)
            ends = dict(connection.execute("SELECT name, seq FROM sqlite_sequence"))
        end = OutcomeCursor(ends.get("batches", 0), ends.get("feedback", 0))
        return OutcomeCounts(recent, archived, with_feedback, end)

    def close(self) -> None:
        """Give the file back."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _archived_before(self, decision_id: str) -> _Filed | None:
        with self._database.read() as connection:
            names = () if _filed(connection, decision_id) else _files(connection, decision_id)
        return self._archived(names, decision_id)

    def _archived(self, names: Iterable[str], decision_id: str) -> _Filed | None:
        for name in names:
            recorded = self._archive.find(name, decision_id)
            if recorded is not None:
                return _Filed(recorded.outcome.tenant, recorded.outcome.score, recorded=recorded)
        return None

    def _claim(self, older_than_s: float) -> bool:
        """Mark the batches of the next run; whether any run is to be finished, one left by a crash included.

        What a run moves is fixed before its files are written: repeated, it writes the same files.
        """
        with self._database.write() as connection:
            connection.execute("DELETE FROM pending WHERE time_s < ?", (older_than_s - KEPT_S,))
            if connection.execute("SELECT 1 FROM batches WHERE run IS NOT NULL LIMIT 1").fetchone():
                return True
            old = "SELECT number, outcomes FROM batches WHERE last_s < ? ORDER BY number"
            claimed, size = [], 0
            for number, outcomes in connection.execute(old, (older_than_s,)):
                claimed.append(number)
                size += outcomes
                if size >= _OUTCOMES_OF_A_RUN:
                    break
            if claimed:
                run = connection.execute("INSERT INTO runs DEFAULT VALUES").lastrowid
                update = "UPDATE batches SET run = ? WHERE number = ?"
                connection.executemany(update, [(run, number) for number in claimed])
        return bool(claimed)

    def _finish_runs(self) -> int:
        with self._database.read() as connection:
            runs = [run for (run,) in connection.execute("SELECT DISTINCT run FROM batches WHERE run IS NOT NULL")]
        return sum(self._finish(run) for run in runs)

    def _finish(self, run: int) -> int:
        with self._database.read() as connection:
            numbers = [row[0] for row in connection.execute("SELECT number FROM batches WHERE run = ?", (run,))]
            payloads = [_payload(connection, number) for number in numbers]
            headers = [read_header(payload) for payload in payloads]
            standing = {f.decision_id: f for header in headers for f in _standing_among(connection, header.ids)}
        members = (
            RecordedOutcome(outcome, standing.get(outcome.decision_id))
            for payload in payloads
            for outcome in decode_outcomes(payload)
        )
        files = self._archive.write(run, members)
        with self._database.write() as connection:
            _replace_batches(connection, run, numbers, headers, files)
        return sum(file.outcomes for file in files)


def _keys(ids: Sequence[str]) -> list[int]:
    """A number of at most 60 bits for each id, in order of time for ids of ours."""
    table = str.maketrans(_CROCKFORD, _PLAIN_32)
    return [_key(decision_id, table) for decision_id in ids]


def _key(decision_id: str, table: dict[int, int]) -> int:
    try:
        return int(decision_id[_KEY_START:_KEY_END].translate(table), 32)
    except ValueError:
        return int(hashlib.sha256(decision_id.encode("utf-8", "replace")).hexdigest()[:15], 16)


def _is_stored(connection: sqlite3.Connection, batch: OutcomeBatch) -> bool:
    query = """SELECT 1 FROM batches WHERE replica = :replica AND sequence = :sequence UNION ALL
        SELECT 1 FROM archived WHERE replica = :replica AND first <= :sequence AND last >= :sequence LIMIT 1"""
    names = {"replica": batch.replica, "sequence": batch.sequence}
    return connection.execute(query, names).fetchone() is not None


def _filed(connection: sqlite3.Connection, decision_id: str) -> _Filed | None:
    (key,) = _keys((decision_id,))
    query = "SELECT batch, head FROM places JOIN payloads USING (batch) WHERE key = ? ORDER BY batch"
    for batch, head in connection.execute(query, (key,)):
        header = read_header(head)
        if decision_id in header.ids:
            position = header.ids.index(decision_id)
            return _Filed(header.tenants[position], header.scores[position], batch, position)
    return None


def _payload(connection: sqlite3.Connection, batch: int) -> bytes:
    head, body = connection.execute("SELECT head, body FROM payloads WHERE batch = ?", (batch,)).fetchone()
    return bytes(head) + bytes(body)


def _files(connection: sqlite3.Connection, decision_id: str) -> tuple[str, ...]:
    query = "SELECT name FROM archives WHERE first_id <= :id AND last_id >= :id ORDER BY name"
    return tuple(name for (name,) in connection.execute(query, {"id": decision_id}))


def _standing(connection: sqlite3.Connection, decision_id: str) -> Feedback | None:
    query = f"{_STANDING} WHERE decision_id = ? ORDER BY number DESC LIMIT 1"
    row = connection.execute(query, (decision_id,)).fetchone()
    return None if row is None else Feedback(*row)


def _standing_among(connection: sqlite3.Connection, ids: Sequence[str]) -> list[Feedback]:
    """All feedback about these decisions, in the order in which it came."""
    query = f"{_STANDING} WHERE decision_id IN (SELECT value FROM json_each(?)) ORDER BY number"  # noqa: S608
    return [Feedback(*row) for row in connection.execute(query, (orjson.dumps(ids).decode(),))]


def _feedback_row(feedback: Feedback) -> tuple[str, str, float, str | None, float]:
    return feedback.decision_id, feedback.tenant, feedback.score, feedback.comment, feedback.time_s


def _attach(connection: sqlite3.Connection, feedback: Feedback, score: float | None) -> None:
    """Let the feedback stand; `score` is what came with the answer."""
    standing = _standing(connection, feedback.decision_id)
    if standing and (standing.score, standing.comment) == (feedback.score, feedback.comment):
        return
    previous = standing.score if standing else score
    insert = """INSERT INTO feedback (decision_id, tenant, score, comment, time_s, previous)
        VALUES (?, ?, ?, ?, ?, ?)"""
    connection.execute(insert, (*_feedback_row(feedback), previous))


def _attach_pending(connection: sqlite3.Connection, header: OutcomeHeader) -> None:
    if connection.execute("SELECT 1 FROM pending LIMIT 1").fetchone() is None:
        return
    query = """SELECT decision_id, tenant, score, comment, time_s FROM pending
        WHERE decision_id IN (SELECT value FROM json_each(?))"""
    waiting = [Feedback(*row) for row in connection.execute(query, (orjson.dumps(header.ids).decode(),))]
    for feedback in waiting:
        position = header.ids.index(feedback.decision_id)
        if header.tenants[position] == feedback.tenant:
            _attach(connection, feedback, header.scores[position])
        connection.execute("DELETE FROM pending WHERE decision_id = ?", (feedback.decision_id,))


def _scored_payloads(
    connection: sqlite3.Connection, after: int, limit: int, *, with_unscored: bool
) -> tuple[list[tuple[int, bytes]], int]:
    """Batches with signals after a number, with how many each, and the number up to which nothing is left out."""
    last = connection.execute("SELECT ifnull(max(number), 0) FROM batches").fetchone()[0]
    query = "SELECT number, scored FROM batches WHERE number > ? AND scored > 0 ORDER BY number"
    if with_unscored:
        query = "SELECT number, outcomes FROM batches WHERE number > ? ORDER BY number"
    found: list[tuple[int, bytes]] = []
    signals = 0
    for number, scored in connection.execute(query, (after,)):
        found.append((scored, _payload(connection, number)))
        signals += scored
        if signals >= limit:
            return found, number
    return found, max(after, last)


def _first_signals(payload: bytes, *, with_unscored: bool) -> Iterator[ScoredOutcome]:
    scores = read_header(payload).scores
    positions = {position for position, score in enumerate(scores) if with_unscored or score is not None}
    for outcome in decode_outcomes(payload, positions):
        yield ScoredOutcome(outcome, outcome.score, None)


def _replace_batches(
    connection: sqlite3.Connection,
    run: int,
    numbers: Sequence[int],
    headers: Sequence[OutcomeHeader],
    files: Sequence[ArchivedFile],
) -> None:
    """From now on these batches are in the files, and nowhere else."""
    taken = connection.execute("SELECT replica, sequence FROM batches WHERE run = ? ORDER BY 1, 2", (run,)).fetchall()
    for replica, sequence in taken:
        _note_archived(connection, replica, sequence)
    connection.executemany(
        "DELETE FROM places WHERE key = ? AND batch = ?",
        [(key, number) for number, header in zip(numbers, headers, strict=True) for key in _keys(header.ids)],
    )
    connection.execute("DELETE FROM batches WHERE run = ?", (run,))
    connection.executemany(
        "INSERT OR REPLACE INTO archives VALUES (?, ?, ?, ?)",
        [(file.name, file.first_id, file.last_id, file.outcomes) for file in files],
    )


def _note_archived(connection: sqlite3.Connection, replica: str, sequence: int) -> None:
    """Add a sequence to the ranges of its replica, which grow together: in the end there is one for each."""
    follower = connection.execute(
        "DELETE FROM archived WHERE replica = ? AND first = ? RETURNING last", (replica, sequence + 1)
    ).fetchone()
    last = sequence if follower is None else follower[0]
    update = "UPDATE archived SET last = ? WHERE replica = ? AND last = ?"
    if connection.execute(update, (last, replica, sequence - 1)).rowcount == 0:
        connection.execute("INSERT INTO archived VALUES (?, ?, ?)", (replica, sequence, last))
