"""Recorded outcomes by prompt: what each model of a table once answered, in tokens, score and time.

Prompts are kept as hashes only. Where a prompt stands in several rows, the first that knows a model counts for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from evolving_ai.errors import DataError
from evolving_ai.router.chat_request import prompt_hash

__all__ = ["RecordedOutcome", "ReplayTable", "load_replay_table"]

_TEXTS = ("prompt", "model")
_NUMBERS = ("score", "prompt_tokens", "completion_tokens")
_MAX_TOKENS = 1_000_000


class RecordedOutcome(NamedTuple):
    """What one model did with one prompt. `latency_s` is of the whole answer; None: the table does not know."""

    score: float
    prompt_tokens: int
    completion_tokens: int
    latency_s: float | None


@dataclass(frozen=True)
class ReplayTable:
    """`models` sorted; `rows` leads from the hash of a prompt to its row of the arrays.

    The arrays are float64[prompts, models], NaN in `score` where nothing was recorded.
    """

    models: tuple[str, ...]
    rows: Mapping[str, int]
    score: NDArray[np.float64]
    prompt_tokens: NDArray[np.float64]
    completion_tokens: NDArray[np.float64]
    latency_s: NDArray[np.float64]

    def find(self, model: int, prompt: str) -> RecordedOutcome | None:
        """What the model at place `model` once did with this prompt; None when that was not recorded."""
        row = self.rows.get(prompt_hash(prompt))
        if row is None:
            return None
        score = float(self.score[row, model])
        if score != score:  # NaN
            return None
        latency_s = float(self.latency_s[row, model])
        return RecordedOutcome(
            score,
            int(self.prompt_tokens[row, model]),
            int(self.completion_tokens[row, model]),
            None if latency_s != latency_s else latency_s,
        )


def load_replay_table(path: Path) -> ReplayTable:
    """Read a Parquet table of outcomes; DataError, in one line, when it is none."""
    table = _read(path)
    prompts, models = (table[name].cast(pa.string()).to_pylist() for name in _TEXTS)
    if None in prompts or None in models:
        raise DataError(f"{path}: prompt or model has empty cells, expected text in every row")
    names = tuple(sorted(set(models)))
    places = {name: place for place, name in enumerate(names)}
    rows: dict[str, int] = {}
    hashes = {prompt: prompt_hash(prompt) for prompt in dict.fromkeys(prompts)}
    row_of = np.array([rows.setdefault(hashes[prompt], len(rows)) for prompt in prompts])
    column_of = np.array([places[model] for model in models])
    columns = {name: _numbers(table, name, path) for name in (*_NUMBERS, "latency_s")}
    known = np.logical_and.reduce([~np.isnan(columns[name]) for name in _NUMBERS])
    for name in ("prompt_tokens", "completion_tokens"):
        if known.any() and columns[name][known].max() > _MAX_TOKENS:
            raise DataError(f"{path}: {name} goes up to {columns[name][known].max():g}, expected {_MAX_TOKENS} at most")
    # From the last to the first, so that of several rows the first stays.
    order = np.flatnonzero(known)[::-1]
    matrices = {name: np.full((len(rows), len(names)), np.nan) for name in columns}
    for name, matrix in matrices.items():
        matrix[row_of[order], column_of[order]] = columns[name][order]
    return ReplayTable(names, rows, **matrices)


def _read(path: Path) -> pa.Table:
    if not path.is_file():
        raise DataError(f"{path} is not a file: expected a Parquet table of routing outcomes")
    try:
        found = pq.read_schema(path).names
        missing = [name for name in (*_TEXTS, *_NUMBERS) if name not in found]
        if missing:
            raise DataError(f"{path} has no column {', '.join(missing)}: expected it beside {', '.join(found)}")
        wanted = [name for name in (*_TEXTS, *_NUMBERS, "latency_s") if name in found]
        table = pq.read_table(path, columns=wanted)
    except (pa.ArrowException, OSError) as exc:
        raise DataError(f"{path} is not a Parquet file: expected a table of routing outcomes") from exc
    if table.num_rows == 0:
        raise DataError(f"{path} has no rows: expected one row for each query and model")
    return table


def _numbers(table: pa.Table, name: str, path: Path) -> NDArray[np.float64]:
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    kind = table.schema.field(name).type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise DataError(f"{path}: column {name} is {kind}, expected numbers")
    column: NDArray[np.float64] = table[name].cast(pa.float64(), safe=False).to_numpy()
    if (column < 0).any() or np.isinf(column).any():
        raise DataError(f"{path}: column {name} has numbers below 0 or without end, expected 0 or more")
    return column
