"""Small outcome tables with a known truth, and random legal genomes: what the tests of decisions share.

Odd queries are sums, even ones are code. `big` answers both, `math` and `code` each their own kind, all of them
at prices that differ by a factor of ten.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from evolving_ai._common.rng import derive_rng
from evolving_ai.decision.features import RequestView
from evolving_ai.decision.outcome_table import OutcomeTable
from evolving_ai.domain.dna import Genome
from evolving_ai.domain.genes import ChoiceGene, FloatGene, Gene, GeneValue, IntGene
from evolving_ai.wiring.search_space import search_space

MODELS = ("big", "code", "math")
PRICES_USD = {"big": 1e-2, "code": 1e-3, "math": 1e-3}
_SKILL = {"big": {"sum": 0.95, "code": 0.95}, "code": {"sum": 0.1, "code": 0.9}, "math": {"sum": 0.9, "code": 0.1}}
_WORDS = ("list", "number", "string", "tree", "apple", "train", "count", "price")


def genome(**changes: GeneValue) -> Genome:
    """The seed genome with some genes changed; `__` in a keyword stands for the dot."""
    return Genome(search_space().complete({name.replace("__", "."): value for name, value in changes.items()}))


def genomes() -> st.SearchStrategy[Genome]:
    """Every legal genome of the search space."""
    space = search_space()
    return st.fixed_dictionaries({gene.name: _values(gene) for gene in space}).map(
        lambda values: Genome(space.complete(values))
    )


def _values(gene: Gene) -> st.SearchStrategy[Any]:
    if isinstance(gene, ChoiceGene):
        return st.sampled_from(gene.choices)
    if isinstance(gene, IntGene):
        return st.integers(gene.low, gene.high)
    assert isinstance(gene, FloatGene)
    return st.one_of(st.sampled_from((gene.low, gene.high)), st.floats(gene.low, gene.high))


def kind_of(query: int) -> str:
    return "sum" if query % 2 else "code"


def prompt_of(query: int) -> str:
    words = " ".join(derive_rng(query, "words").choice(_WORDS, 4))
    if query % 2:
        return f"What is {query} + {3 * query}? Think of the {words}."
    return f"def solve(x):\n    # write a function about {words}\n    return x[{query}]"


def outcomes(
    queries: int = 24,
    *,
    seed: int = 0,
    models: Sequence[str] = MODELS,
    has_labels: bool = True,
    has_context: bool = False,
    missing: float = 0.0,
) -> OutcomeTable:
    """A table of so many queries; `missing` is the share of outcomes that nobody recorded."""
    rng = derive_rng(seed, "outcomes")
    skill = np.array([[_SKILL[model][kind_of(query)] for model in models] for query in range(queries)])
    score = (rng.random(skill.shape) < skill).astype(np.float64)
    price = np.array([PRICES_USD[model] for model in models])
    cost = price * rng.uniform(0.5, 1.5, score.shape)
    unknown = rng.random(score.shape) < missing
    unknown[:, 0] = False
    score[unknown] = cost[unknown] = np.nan
    return OutcomeTable(
        query_ids=tuple(f"q{query}" for query in range(queries)),
        models=tuple(models),
        requests=tuple(
            RequestView(prompt_of(query), 10 + query, {"team": kind_of(query)} if has_context else None)
            for query in range(queries)
        ),
        score=score,
        cost_usd=cost,
        labels=tuple(kind_of(query) for query in range(queries)) if has_labels else None,
    )


def columns_of(queries: int = 60, *, seed: int = 0, models: Sequence[str] = MODELS) -> dict[str, list[Any]]:
    """A long table, one row for each query and model; every third query is of the test split."""
    table = outcomes(queries, seed=seed, models=models)
    columns: dict[str, list[Any]] = {name: [] for name in COLUMN_TYPES}
    for row in range(queries):
        for column, model in enumerate(models):
            cells = {
                "query_id": table.query_ids[row],
                "split": "train" if row % 3 else "test",
                "source_task": kind_of(row),
                "prompt": table.requests[row].prompt,
                "prompt_tokens": 10 + row,
                "model": model,
                "score": float(table.score[row, column]),
                "cost_usd": float(table.cost_usd[row, column]),
                "latency_s": 0.5,
                "stream_pos": (7 * row) % queries,
            }
            for name, value in cells.items():
                columns[name].append(value)
    return columns


COLUMN_TYPES: Mapping[str, pa.DataType] = {
    "query_id": pa.string(),
    "split": pa.string(),
    "source_task": pa.string(),
    "prompt": pa.string(),
    "prompt_tokens": pa.int64(),
    "model": pa.string(),
    "score": pa.float64(),
    "cost_usd": pa.float64(),
    "latency_s": pa.float64(),
    "stream_pos": pa.int64(),
}


def write_table(path: Path, columns: Mapping[str, Sequence[Any]]) -> Path:
    """Write a long table as Parquet; columns with a name of their own keep the type that their cells suggest."""
    arrays = {}
    for name, cells in columns.items():
        is_typical = all(cell is None or isinstance(cell, int | float) for cell in cells) or name not in (
            "score",
            "cost_usd",
            "prompt_tokens",
            "latency_s",
            "stream_pos",
        )
        arrays[name] = pa.array(cells, COLUMN_TYPES.get(name) if is_typical else None)
    pq.write_table(pa.table(arrays), path)
    return path
