"""Recorded outcomes as matrices: one row for each query, one column for each model.

A table on disk is long (one row for each query and model). What a decision must not see stays out: `load_requests`
reads neither scores nor costs; `load_outcomes` reads all of it, and is for fitting and for scoring afterwards.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from evolving_ai._common.canonical import canonical_bytes, sha256_hex
from evolving_ai.decision.features import RequestView
from evolving_ai.errors import DataError

__all__ = [
    "TRAIN",
    "VALIDATION",
    "OutcomeTable",
    "RequestTable",
    "has_outcomes",
    "has_split",
    "load_outcomes",
    "load_requests",
    "splits_of",
]

TRAIN = "train"
"""The split that policies are fitted on, and that campaigns search on."""
VALIDATION = "validation"
"""The split that a candidate is checked on before it may serve; a table may do without."""

_LABEL_COLUMNS = ("source_task", "source")
_REQUIRED = {"query_id": "string", "prompt": "string", "model": "string"}
_OUTCOME_NUMBERS = ("score", "cost_usd")
_NEVER_CONTEXT = ("score", "cost_usd", "completion_tokens", "latency_s", "model", "split")


@dataclass(frozen=True)
class RequestTable:
    """Queries without their outcomes. `available[q, m]` says which models stand in the pool of query q."""

    query_ids: tuple[str, ...]
    models: tuple[str, ...]
    requests: tuple[RequestView, ...]
    available: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.query_ids)


@dataclass(frozen=True)
class OutcomeTable:
    """Queries with what is known about every model's answer.

    `score` (0 to 1), `cost_usd` and `latency_s` are float64[queries, models], NaN where nothing was recorded;
    `latency_s` is None where the table has no such column. `labels` are task classes, None where the table has none.
    """

    query_ids: tuple[str, ...]
    models: tuple[str, ...]
    requests: tuple[RequestView, ...]
    score: NDArray[np.float64]
    cost_usd: NDArray[np.float64]
    labels: tuple[str, ...] | None = None
    latency_s: NDArray[np.float64] | None = field(default=None)

    def __len__(self) -> int:
        return len(self.query_ids)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which outcomes were recorded: bool[queries, models]."""
        return ~np.isnan(self.score)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> "OutcomeTable":
        """The table of some of the queries, in the order given."""
        index = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        return OutcomeTable(
            query_ids=tuple(self.query_ids[i] for i in index),
            models=self.models,
            requests=tuple(self.requests[i] for i in index),
            score=self.score[index],
            cost_usd=self.cost_usd[index],
            labels=None if self.labels is None else tuple(self.labels[i] for i in index),
            latency_s=None if self.latency_s is None else self.latency_s[index],
        )

    def with_models(self, models: Sequence[str]) -> "OutcomeTable":
        """The same queries over a larger pool: what is not recorded about a model is unknown."""
        pool = tuple(sorted({*self.models, *models}))
        columns = [pool.index(model) for model in self.models]

        def widen(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
            wide = np.full((len(self), len(pool)), np.nan)
            wide[:, columns] = matrix
            return wide

        latency = None if self.latency_s is None else widen(self.latency_s)
        return dataclasses.replace(
            self, models=pool, score=widen(self.score), cost_usd=widen(self.cost_usd), latency_s=latency
        )

    def fingerprint(self) -> str:
        """SHA-256 over all that an evaluation reads: equal fingerprints, equal evaluations."""
        prompts = sha256_hex("\x1e".join(request.prompt for request in self.requests).encode("utf-8", "replace"))
        numbers = sha256_hex(self.score.tobytes() + self.cost_usd.tobytes())
        names = sha256_hex(canonical_bytes([list(self.query_ids), list(self.models), list(self.labels or ())]))
        seen = [[request.prompt_tokens, dict(request.context or {})] for request in self.requests]
        return sha256_hex(f"{prompts}{numbers}{names}{sha256_hex(canonical_bytes(seen))}".encode())


def has_outcomes(path: Path) -> bool:
    """Whether the table has the columns of outcomes at all; DataError when it is no table."""
    return set(_OUTCOME_NUMBERS) <= set(_schema(path).names)


def has_split(path: Path, split: str) -> bool:
    """Whether the table has rows of that split; DataError when it is no table, or has no column of splits."""
    _check_columns(path, _schema(path), split, (), ())
    return bool(pc.any(pc.equal(pq.read_table(path, columns=["split"])["split"].cast(pa.string()), split)).as_py())


def splits_of(path: Path) -> frozenset[str] | None:
    """The splits that have rows; None where the table has no column of splits. DataError when it is no table."""
    schema = _schema(path)
    if "split" not in schema.names:
        return None
    _check_columns(path, schema, TRAIN, (), ())
    named = pq.read_table(path, columns=["split"])["split"].cast(pa.string()).drop_null()
    return frozenset(pc.unique(named).to_pylist())


def load_outcomes(path: Path, *, split: str | None, context: Sequence[str] = ()) -> OutcomeTable:
    """Read the queries of `split` (None: of all) with everything that was recorded.

    Raises DataError, in one line, for a missing file, a file that is not Parquet, a missing or mistyped column, no
    rows, a (query, model) pair that stands twice, scores outside 0..1, and negative or missing costs.
    """
    table = _read(path, split, context, (*_OUTCOME_NUMBERS,))
    grid = _Grid.of(table, path)
    score, cost = grid.matrix(table, "score"), grid.matrix(table, "cost_usd")
    _check_range(path, "score", score, 1.0)
    _check_range(path, "cost_usd", cost, np.inf)
    if bool(np.any(np.isnan(score) != np.isnan(cost))):
        raise DataError(f"{path}: a row has a score without a cost_usd or the reverse: expected both numbers")
    labels = _labels(table, grid)
    latency = grid.matrix(table, "latency_s") if "latency_s" in table.column_names else None
    return OutcomeTable(grid.query_ids, grid.models, grid.requests(table, context), score, cost, labels, latency)


def load_requests(
    path: Path, *, split: str | None, context: Sequence[str] = (), in_stream_order: bool = False
) -> RequestTable:
    """Read the queries of `split` without their outcomes, in file order or in that of column `stream_pos`."""
    table = _read(path, split, context, ())
    if in_stream_order and "stream_pos" in table.column_names:
        table = table.sort_by("stream_pos")
    grid = _Grid.of(table, path)
    available = np.zeros((len(grid.query_ids), len(grid.models)), np.bool_)
    available[grid.rows, grid.columns] = True
    return RequestTable(grid.query_ids, grid.models, grid.requests(table, context), available)


def _read(path: Path, split: str | None, context: Sequence[str], numbers: Sequence[str]) -> pa.Table:
    schema = _schema(path)
    _check_columns(path, schema, split, context, numbers)
    wanted = {*_REQUIRED, "split", "prompt_tokens", "stream_pos", *context, *numbers}
    if numbers:
        wanted |= {*_LABEL_COLUMNS, "latency_s"}
    try:
        table = pq.read_table(path, columns=[name for name in schema.names if name in wanted])
    except (pa.ArrowException, OSError) as exc:
        raise DataError(f"{path} is damaged: expected a readable Parquet file ({_first_line(exc)})") from exc
    if split is not None:
        table = table.filter(pc.equal(table["split"].cast(pa.string()), split))
    if table.num_rows == 0:
        where = "no rows" if split is None else f"no rows whose split is '{split}'"
        raise DataError(f"{path} has {where}: expected one row for each query and model")
    return table


def _schema(path: Path) -> pa.Schema:
    if not path.exists():
        raise DataError(f"{path} does not exist: expected a Parquet table of routing outcomes")
    if path.is_dir():
        raise DataError(f"{path} is a folder: expected a Parquet file")
    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError) as exc:
        raise DataError(f"{path} is not a Parquet file: expected a table of routing outcomes") from exc


def _check_columns(
    path: Path, schema: pa.Schema, split: str | None, context: Sequence[str], numbers: Sequence[str]
) -> None:
    needed = [*_REQUIRED, *numbers, *context, *(() if split is None else ("split",))]
    missing = [name for name in needed if name not in schema.names]
    if missing:
        found = ", ".join(schema.names)
        raise DataError(f"{path} has no column {', '.join(missing)}: expected it beside {found}")
    for name in (*_REQUIRED, "split"):
        if name in schema.names and not _is_text(schema.field(name).type):
            raise DataError(f"{path}: column {name} is {schema.field(name).type}, expected text")
    for name in context:
        if name in _NEVER_CONTEXT:
            raise DataError(f"{path}: column {name} cannot be context, expected what is known before a model answers")
        if not _is_text(schema.field(name).type) and not _is_number(schema.field(name).type):
            raise DataError(f"{path}: column {name} is {schema.field(name).type}, expected text or numbers as context")
    for name in (*numbers, "prompt_tokens", "latency_s", "stream_pos"):
        if name in schema.names and not _is_number(schema.field(name).type):
            raise DataError(f"{path}: column {name} is {schema.field(name).type}, expected numbers")


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _first_line(exc: BaseException) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0]


def _check_range(path: Path, name: str, matrix: NDArray[np.float64], high: float) -> None:
    known = matrix[~np.isnan(matrix)]
    if known.size and (known.min() < 0 or known.max() > high or not np.isfinite(known).all()):
        legal = "0 to 1" if high == 1.0 else "0 or more"
        raise DataError(f"{path}: column {name} runs from {known.min():g} to {known.max():g}, expected {legal}")


def _labels(table: pa.Table, grid: "_Grid") -> tuple[str, ...] | None:
    present = [name for name in _LABEL_COLUMNS if name in table.column_names]
    if not present:
        return None
    columns = [grid.first(table, name) for name in present]
    return tuple("|".join(parts) for parts in zip(*columns, strict=True))


@dataclass(frozen=True)
class _Grid:
    """Where each row of a long table lies in the matrices; queries and models in order of first appearance."""

    query_ids: tuple[str, ...]
    models: tuple[str, ...]
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    first_rows: NDArray[np.intp]

    @classmethod
    def of(cls, table: pa.Table, path: Path) -> "_Grid":
        for name in ("query_id", "model", "prompt"):
            if table[name].null_count:
                raise DataError(f"{path}: column {name} has empty cells, expected text in every row")
        query_ids, rows = _factorize(table["query_id"])
        names, columns = _factorize(table["model"])
        order = np.argsort(np.array(names, dtype=object), kind="stable")
        rank = np.empty(len(names), np.intp)
        rank[order] = np.arange(len(names))
        flat = rows * len(names) + rank[columns]
        if len(np.unique(flat)) != len(flat):
            raise DataError(f"{path}: a query and model stand in more than one row, expected one row for each pair")
        first = np.unique(rows, return_index=True)[1].astype(np.intp)
        return cls(query_ids, tuple(names[i] for i in order), rows, rank[columns], first)

    def matrix(self, table: pa.Table, name: str) -> NDArray[np.float64]:
        values = np.full((len(self.query_ids), len(self.models)), np.nan)
        values[self.rows, self.columns] = table[name].cast(pa.float64(), safe=False).to_numpy()
        return values

    def first(self, table: pa.Table, name: str) -> list[str]:
        """A text column that belongs to the query, read off its first row."""
        values = table[name].cast(pa.string()).take(pa.array(self.first_rows)).to_pylist()
        return ["" if value is None else value for value in values]

    def requests(self, table: pa.Table, context: Sequence[str]) -> tuple[RequestView, ...]:
        prompts = self.first(table, "prompt")
        tokens = self._tokens(table)
        columns: Mapping[str, list[str]] = {name: self.first(table, name) for name in context}
        return tuple(
            RequestView(
                prompt=prompt,
                prompt_tokens=tokens[row],
                context={name: column[row] for name, column in columns.items()} if columns else None,
            )
            for row, prompt in enumerate(prompts)
        )

    def _tokens(self, table: pa.Table) -> list[int | None]:
        """The largest count of any model: what is known before a model is chosen."""
        if "prompt_tokens" not in table.column_names:
            return [None] * len(self.query_ids)
        with np.errstate(invalid="ignore"):
            counts = np.nan_to_num(table["prompt_tokens"].cast(pa.float64(), safe=False).to_numpy(), nan=-1.0)
        largest = np.full(len(self.query_ids), -1.0)
        np.maximum.at(largest, self.rows, counts)
        return [int(count) if count >= 0 else None for count in largest]


def _factorize(column: pa.ChunkedArray) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    encoded = pc.dictionary_encode(column.cast(pa.string()).combine_chunks())
    return tuple(_texts(encoded.dictionary)), encoded.indices.to_numpy().astype(np.intp)


def _texts(values: Iterable[pa.Scalar]) -> list[str]:
    return [str(value) for value in values]
