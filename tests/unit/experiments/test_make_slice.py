"""The committed slice is what `make_slice` would cut, and what its README says."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from experiments.data.make_slice import FAMILIES, cut, is_validation
from tests.architecture.source import ROOT

FILE = ROOT / "experiments" / "data" / "llmrouter_slice.parquet"
COLUMNS = ["query_id", "source_task", "split", "prompt", "model", "score"]
COLUMNS += ["prompt_tokens", "completion_tokens", "cost_usd"]


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """The committed slice."""
    return pq.read_table(FILE)


def whole_table(**columns: list[object]) -> pa.Table:
    rows = len(next(iter(columns.values())))
    usual = {
        "query_id": [f"q{row}" for row in range(rows)],
        "source_task": [FAMILIES[0]] * rows,
        "split": ["test"] * rows,
    }
    return pa.table({**usual, **columns})


def test_cutting_keeps_whole_families_unchanged() -> None:
    whole = whole_table(source_task=["math", FAMILIES[0], "mmlu", FAMILIES[1]], score=[0.0, 1.0, 0.5, 0.25])
    assert cut(whole).select(["source_task", "score"]).to_pydict() == {
        "source_task": [FAMILIES[0], FAMILIES[1]],
        "score": [1.0, 0.25],
    }


def test_a_fifth_of_the_train_questions_and_nothing_else_is_set_apart() -> None:
    ids = [f"q{number}" for number in range(1000)]
    train, test = cut(whole_table(query_id=ids, split=["train"] * 1000)), cut(whole_table(query_id=ids))

    apart = {name for name, split in zip(ids, train["split"].to_pylist(), strict=True) if split == "validation"}
    assert apart == {name for name in ids if is_validation(name)}
    assert 150 < len(apart) < 250
    assert set(test["split"].to_pylist()) == {"test"}


def test_the_slice_holds_only_the_families_that_may_be_passed_on(table: pa.Table) -> None:
    assert set(pc.unique(table["source_task"]).to_pylist()) == set(FAMILIES)


def test_the_slice_is_what_cutting_leaves(table: pa.Table) -> None:
    assert cut(table).equals(table)


def test_the_slice_is_a_complete_matrix_of_fair_scores(table: pa.Table) -> None:
    queries, models = pc.count_distinct(table["query_id"]).as_py(), pc.count_distinct(table["model"]).as_py()
    assert (queries, models, table.num_rows) == (2413, 9, 2413 * 9)
    assert table.column_names == COLUMNS
    assert all(table[name].null_count == 0 for name in COLUMNS)
    assert (pc.min(table["score"]).as_py(), pc.max(table["score"]).as_py()) == (0.0, 1.0)
    assert pc.min(table["cost_usd"]).as_py() > 0


def test_no_question_is_in_two_splits(table: pa.Table) -> None:
    def prompts(split: str) -> set[str]:
        return set(table.filter(pc.equal(table["split"], split))["prompt"].to_pylist())

    train, validation, test = prompts("train"), prompts("validation"), prompts("test")
    assert (len(train), len(validation), len(test)) == (1486, 334, 593)
    assert not train & test | train & validation | validation & test


def test_the_slice_stays_small() -> None:
    assert FILE.stat().st_size < 1_000_000
