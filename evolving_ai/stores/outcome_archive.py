"""Outcomes as Parquet: where they lie once they are no longer recent, for notebooks, campaigns and explanations.

Files are `outcomes/date=YYYY-MM-DD/RUN.parquet` below the home (the date is that of the request, in UTC), compressed
with Zstandard, sorted by decision id. A file is whole or absent, is never changed, and its name depends on the run of
the compaction alone, so a run that is repeated after a crash replaces its own files. Which files exist is known to
outcomes.db. Nothing is deleted here.

Schema, one row for each request (`domain.outcome.Outcome` has the meanings; seconds, tokens, nano-dollars):

    decision_id, tenant, key_id, requested_model, dna_hash, snapshot_hash, prompt_hash        string
    time_s, first_byte_s, latency_s, overhead_s, propensity, score                            double
    seed                                                                                      uint64
    chosen, status, input_tokens, output_tokens, cost_nano_usd                                int64
    is_stream                                                                                 bool
    target, error_code, finish_reason, content                                                string, may be null
    models, relaxed, tags                                                                     list of string
    qualities, costs_usd, score_values                                                        list of float, by model
    features                                                                                  binary
    assignment     struct(rollout, is_canary, share, unit), may be null
    attempts       list of struct(target, result, status, first_byte_s, latency_s, input_tokens, output_tokens,
                   cost_nano_usd)
    feedback_score, feedback_comment, feedback_time_s    what stood when the file was written; later feedback is in
                                                         outcomes.db
"""

import dataclasses
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from evolving_ai._common.files import disk_errors, write_atomically
from evolving_ai.domain.outcome import Attempt, AttemptResult, Feedback, Outcome
from evolving_ai.domain.rollout import Assignment
from evolving_ai.errors import CorruptionError
from evolving_ai.stores.ports.outcomes import RecordedOutcome

__all__ = ["ArchivedFile", "OutcomeArchive", "archive_schema"]

_ROWS_OF_A_GROUP = 2_000  # what finding one outcome reads
_TUPLES = ("models", "qualities", "costs_usd", "score_values", "relaxed", "tags")
_TYPES: dict[str, str] = {
    "time_s": "double",
    "seed": "uint64",
    "chosen": "int64",
    "propensity": "double",
    "features": "binary",
    "is_stream": "bool",
    "status": "int64",
    "input_tokens": "int64",
    "output_tokens": "int64",
    "cost_nano_usd": "int64",
    "first_byte_s": "double",
    "latency_s": "double",
    "overhead_s": "double",
    "score": "double",
}
_LISTS: dict[str, str] = {
    "models": "string",
    "relaxed": "string",
    "tags": "string",
    "qualities": "float",
    "costs_usd": "float",
    "score_values": "float",
}
_ATTEMPT_TYPES: dict[str, str] = {
    "target": "string",
    "result": "string",
    "status": "int64",
    "first_byte_s": "double",
    "latency_s": "double",
    "input_tokens": "int64",
    "output_tokens": "int64",
    "cost_nano_usd": "int64",
}
_ASSIGNMENT_TYPES = {"rollout": "string", "is_canary": "bool", "share": "double", "unit": "uint64"}
_FEEDBACK_TYPES = {"feedback_score": "double", "feedback_comment": "string", "feedback_time_s": "double"}


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """One file, by its path below the archive's folder, with the first and the last decision id in it."""

    name: str
    first_id: str
    last_id: str
    outcomes: int


def archive_schema() -> pa.Schema:
    """The schema of the files, as the module says it."""
    structs = {"attempts": pa.list_(_struct(_ATTEMPT_TYPES)), "assignment": _struct(_ASSIGNMENT_TYPES)}
    fields = []
    for field in dataclasses.fields(Outcome):
        kind = pa.type_for_alias(_LISTS.get(field.name) or _TYPES.get(field.name, "string"))
        if field.name in _LISTS:
            kind = pa.list_(kind)
        fields.append(pa.field(field.name, structs.get(field.name, kind)))
    return pa.schema([*fields, *((name, pa.type_for_alias(kind)) for name, kind in _FEEDBACK_TYPES.items())])


def _struct(types: dict[str, str]) -> pa.DataType:
    return pa.struct([(name, pa.type_for_alias(kind)) for name, kind in types.items()])


class OutcomeArchive:
    """The folder of the files. It holds no state of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, run: int, outcomes: Iterable[RecordedOutcome]) -> tuple[ArchivedFile, ...]:
        """Write the files of a run, one for each date; all are durable when this returns. StorageError."""

        def date(recorded: RecordedOutcome) -> str:
            return datetime.fromtimestamp(recorded.outcome.time_s, UTC).date().isoformat()

        def order(recorded: RecordedOutcome) -> tuple[str, str]:
            return date(recorded), recorded.outcome.decision_id

        groups = groupby(sorted(outcomes, key=order), key=date)
        return tuple(self._write_file(f"date={day}/{run:09d}.parquet", list(members)) for day, members in groups)

    def _write_file(self, name: str, members: Sequence[RecordedOutcome]) -> ArchivedFile:
        path = self._folder / name
        with disk_errors(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        buffer = io.BytesIO()
        pq.write_table(_table(members), buffer, compression="zstd", row_group_size=_ROWS_OF_A_GROUP)
        write_atomically(path, buffer.getvalue())
        return ArchivedFile(name, members[0].outcome.decision_id, members[-1].outcome.decision_id, len(members))

    def find(self, name: str, decision_id: str) -> RecordedOutcome | None:
        """The outcome in one file, with the feedback that stands there. CorruptionError when it cannot be read."""
        path = self._folder / name
        try:
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    if _may_hold(file.metadata.row_group(group).column(0).statistics, decision_id):
                        table = file.read_row_group(group)
                        place = table["decision_id"].index(decision_id).as_py()
                        if place >= 0:
                            return _recorded(table.slice(place, 1).to_pylist()[0])
        except (OSError, pa.ArrowException, ValueError, TypeError, KeyError) as exc:
            raise CorruptionError(f"{path} cannot be read: restore it from a backup") from exc
        return None


def _may_hold(statistics: Any, decision_id: str) -> bool:
    if statistics is None or not statistics.has_min_max:
        return True
    return bool(statistics.min <= decision_id <= statistics.max)


def _table(members: Sequence[RecordedOutcome]) -> pa.Table:
    schema = archive_schema()
    names = [field.name for field in dataclasses.fields(Outcome)]
    cells = zip(*map(attrgetter(*names), (recorded.outcome for recorded in members)), strict=True)
    columns: dict[str, Any] = dict(zip(names, cells, strict=True))
    attempt_row = attrgetter(*_ATTEMPT_TYPES)
    columns["attempts"] = [
        [dict(zip(_ATTEMPT_TYPES, attempt_row(attempt), strict=True)) for attempt in attempts]
        for attempts in columns["attempts"]
    ]
    columns["assignment"] = [None if one is None else dataclasses.asdict(one) for one in columns["assignment"]]
    standing = [recorded.feedback for recorded in members]
    columns["feedback_score"] = [None if feedback is None else feedback.score for feedback in standing]
    columns["feedback_comment"] = [None if feedback is None else feedback.comment for feedback in standing]
    columns["feedback_time_s"] = [None if feedback is None else feedback.time_s for feedback in standing]
    return pa.table([pa.array(columns[field.name], field.type) for field in schema], schema=schema)


def _recorded(row: dict[str, Any]) -> RecordedOutcome:
    score, comment, time_s = (row.pop(name) for name in _FEEDBACK_TYPES)
    attempts = tuple(
        Attempt(**{**attempt, "result": AttemptResult(attempt["result"])}) for attempt in row.pop("attempts")
    )
    for name in _TUPLES:
        row[name] = tuple(row[name])
    row["assignment"] = None if row["assignment"] is None else Assignment(**row["assignment"])
    outcome = Outcome(**row, attempts=attempts)
    if score is None:
        return RecordedOutcome(outcome, None)
    return RecordedOutcome(outcome, Feedback(outcome.decision_id, outcome.tenant, score, comment, time_s))
