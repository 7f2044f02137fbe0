"""Tables of recorded outcomes with a validation split, and the ground that gates stand on with them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from evolving_ai.domain.money import TokenPrice
from evolving_ai.wiring.held_out import Ground
from tests.unit.decision.synthetic_outcomes import MODELS, columns_of, write_table

__all__ = ["columns_with_validation", "ground_of", "replaced", "split_of"]

_SPLITS = ("test", "train", "validation", "train")


def split_of(query_id: str) -> str:
    """Half of the queries are for fitting, a quarter to check on, a quarter to report."""
    return _SPLITS[int(query_id.removeprefix("q")) % 7 % 4]


def columns_with_validation(queries: int = 120, *, seed: int = 0) -> dict[str, list[Any]]:
    """A long table of all three splits."""
    columns = columns_of(queries, seed=seed)
    columns["split"] = [split_of(query_id) for query_id in columns["query_id"]]
    return columns


def replaced(
    columns: Mapping[str, list[Any]], cells: Mapping[str, Any], where: Callable[[dict[str, Any]], bool]
) -> dict[str, list[Any]]:
    """The table with other cells in some rows."""
    names = list(columns)
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return {name: [cells.get(name, row[name]) if where(row) else row[name] for row in rows] for name in names}


def ground_of(
    path: Path, columns: Mapping[str, list[Any]], *more: str, prices: Mapping[str, TokenPrice] | None = None
) -> Ground:
    """A pool of the table's models and of `more`."""
    return Ground(tuple(sorted({*MODELS, *more})), write_table(path, columns), prices or {})
