"""Reading tables of outcomes: what comes out of good ones, and the one line that names what is wrong with others."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evolving_ai.decision.outcome_table import load_outcomes, load_requests, splits_of
from evolving_ai.errors import DataError
from tests.unit.decision.synthetic_outcomes import COLUMN_TYPES, MODELS, columns_of, outcomes, write_table

Columns = dict[str, list[Any]]
QUERIES = 12
LOADERS = [load_outcomes, load_requests]


@pytest.fixture
def columns() -> Columns:
    return columns_of(QUERIES)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Columns], Path]:
    return lambda columns: write_table(tmp_path / "table.parquet", columns)


def refusal(load: Any, path: Path, split: str | None = None, **options: Any) -> str:
    """The one line with which the table is refused."""
    with pytest.raises(DataError) as caught:
        load(path, split=split, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    assert "expected" in text
    return text


def test_a_long_table_becomes_one_row_for_each_query_and_one_column_for_each_model(
    write: Any, columns: Columns
) -> None:
    table, truth = load_outcomes(write(columns), split=None), outcomes(QUERIES)
    assert table.query_ids == truth.query_ids
    assert table.models == MODELS
    assert table.labels == truth.labels
    assert [request.prompt for request in table.requests] == [request.prompt for request in truth.requests]
    assert [request.prompt_tokens for request in table.requests] == list(range(10, 10 + QUERIES))
    np.testing.assert_array_equal(table.score, truth.score)
    np.testing.assert_array_equal(table.cost_usd, truth.cost_usd)
    assert table.latency_s is not None
    assert (table.latency_s == 0.5).all()


@given(seed=st.integers(0, 2**32))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_of_the_rows_changes_no_outcome(write: Any, seed: int) -> None:
    columns = columns_of(QUERIES)
    order = list(range(len(columns["model"])))
    random.Random(seed).shuffle(order)  # noqa: S311 - nothing secret
    table = load_outcomes(write({name: [cells[i] for i in order] for name, cells in columns.items()}), split=None)
    truth = outcomes(QUERIES)
    place = [truth.query_ids.index(query_id) for query_id in table.query_ids]
    assert table.models == truth.models
    np.testing.assert_array_equal(table.score, truth.score[place])
    np.testing.assert_array_equal(table.cost_usd, truth.cost_usd[place])


def test_only_the_rows_of_the_split_are_read(write: Any, columns: Columns) -> None:
    path = write(columns)
    assert load_outcomes(path, split="test").query_ids == tuple(f"q{i}" for i in range(0, QUERIES, 3))
    assert len(load_requests(path, split="train")) == QUERIES - len(load_requests(path, split="test"))


def test_the_splits_of_a_table_are_those_that_have_rows(write: Any, columns: Columns) -> None:
    assert splits_of(write(columns)) == {"train", "test"}
    assert splits_of(write({**columns, "split": [None, *["validation"] * (len(columns["split"]) - 1)]})) == {
        "validation"
    }
    del columns["split"]
    assert splits_of(write(columns)) is None


def test_dictionary_encoded_and_large_text_columns_are_text(tmp_path: Path, columns: Columns) -> None:
    table = pa.table({name: pa.array(cells, COLUMN_TYPES[name]) for name, cells in columns.items()})
    for name, kind in (
        ("model", pa.dictionary(pa.int32(), pa.string())),
        ("split", pa.dictionary(pa.int8(), pa.string())),
        ("prompt", pa.large_string()),
    ):
        table = table.set_column(table.schema.get_field_index(name), name, table[name].cast(kind))
    pq.write_table(table, tmp_path / "table.parquet")
    read = load_outcomes(tmp_path / "table.parquet", split="train")
    assert read.models == MODELS
    assert len(read) == QUERIES - QUERIES // 3


def test_scores_may_be_whole_numbers(write: Any, columns: Columns, tmp_path: Path) -> None:
    expected = load_outcomes(write(columns), split=None).score
    table = pq.read_table(tmp_path / "table.parquet")
    whole = table["score"].cast(pa.int64())
    pq.write_table(table.set_column(table.schema.get_field_index("score"), "score", whole), tmp_path / "whole.parquet")
    np.testing.assert_array_equal(load_outcomes(tmp_path / "whole.parquet", split=None).score, expected)


def test_a_query_that_lacks_a_model_has_no_outcome_there_and_the_model_is_not_in_its_pool(
    write: Any, columns: Columns
) -> None:
    short = {name: cells[1:] for name, cells in columns.items()}
    path = write(short)
    table, requests = load_outcomes(path, split=None), load_requests(path, split=None)
    assert table.models == MODELS
    assert not table.known[0, 0]
    assert np.isnan(table.cost_usd[0, 0])
    assert table.known.sum() == 3 * QUERIES - 1
    np.testing.assert_array_equal(requests.available, table.known)


def test_requests_are_read_from_a_table_without_any_outcome(write: Any, columns: Columns) -> None:
    full = load_requests(write(columns), split="test")
    for name in ("score", "cost_usd", "latency_s", "source_task"):
        del columns[name]
    bare = load_requests(write(columns), split="test")
    assert bare.requests == full.requests
    assert bare.query_ids == full.query_ids


def test_requests_do_not_depend_on_what_the_outcome_columns_hold(write: Any, columns: Columns) -> None:
    full = load_requests(write(columns), split="test")
    rows = len(columns["score"])
    garbage = {"score": ["?"] * rows, "cost_usd": [[1]] * rows, "completion_tokens": ["x"] * rows}
    garbled = load_requests(write({**columns, **garbage}), split="test")
    assert garbled.requests == full.requests


def test_stream_order_is_that_of_stream_pos_else_of_the_file(write: Any, columns: Columns) -> None:
    path = write(columns)
    in_order = load_requests(path, split=None, in_stream_order=True).query_ids
    assert [(7 * int(query_id[1:])) % QUERIES for query_id in in_order] == list(range(QUERIES))
    assert load_requests(path, split=None).query_ids == tuple(f"q{i}" for i in range(QUERIES))
    del columns["stream_pos"]
    assert load_requests(write(columns), split=None, in_stream_order=True).query_ids == tuple(
        f"q{i}" for i in range(QUERIES)
    )


def test_context_columns_reach_the_request_only_when_named(write: Any, columns: Columns) -> None:
    path = write({**columns, "team": [7] * len(columns["model"])})
    assert load_requests(path, split=None).requests[0].context is None
    named = load_requests(path, split=None, context=("team", "source_task"))
    assert named.requests[1].context == {"team": "7", "source_task": "sum"}


@pytest.mark.parametrize("column", ["score", "cost_usd", "latency_s", "completion_tokens"])
def test_an_outcome_cannot_be_made_known_as_context(write: Any, columns: Columns, column: str) -> None:
    path = write({**columns, "completion_tokens": [1.0] * len(columns["model"])})
    assert column in refusal(load_requests, path, context=(column,))


def test_context_that_is_no_text_and_no_number_is_refused(write: Any, columns: Columns) -> None:
    path = write({**columns, "tags": [["a"]] * len(columns["model"])})
    assert "tags" in refusal(load_requests, path, context=("tags",))


@pytest.mark.parametrize("load", LOADERS)
class TestWhatIsNoTable:
    def test_a_missing_file(self, load: Any, tmp_path: Path) -> None:
        assert "does not exist" in refusal(load, tmp_path / "none.parquet")

    def test_a_folder(self, load: Any, tmp_path: Path) -> None:
        assert "is a folder" in refusal(load, tmp_path)

    @pytest.mark.parametrize("content", [b"", b"query_id,model\n", b"PAR1" + bytes(100) + b"PAR1"])
    def test_something_else_than_parquet(self, load: Any, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "table.parquet"
        path.write_bytes(content)
        assert "not a Parquet file" in refusal(load, path)

    def test_a_truncated_file(self, load: Any, write: Any, columns: Columns) -> None:
        path = write(columns)
        path.write_bytes(path.read_bytes()[:-200])
        refusal(load, path)

    def test_a_file_with_damaged_pages(self, load: Any, write: Any, columns: Columns) -> None:
        path = write(columns)
        data = bytearray(path.read_bytes())
        data[4:1500] = bytes(1496)
        path.write_bytes(data)
        assert "damaged" in refusal(load, path)

    @pytest.mark.parametrize("column", ["query_id", "prompt", "model"])
    def test_a_missing_column(self, load: Any, write: Any, columns: Columns, column: str) -> None:
        del columns[column]
        assert f"no column {column}:" in refusal(load, write(columns))

    def test_a_missing_split_when_one_is_asked_for(self, load: Any, write: Any, columns: Columns) -> None:
        del columns["split"]
        path = write(columns)
        assert "no column split:" in refusal(load, path, "test")
        assert len(load(path, split=None)) == QUERIES

    def test_a_missing_context_column(self, load: Any, write: Any, columns: Columns) -> None:
        assert "no column team:" in refusal(load, write(columns), context=("team",))

    @pytest.mark.parametrize("column", ["query_id", "prompt", "model", "split"])
    def test_numbers_where_text_should_be(self, load: Any, write: Any, tmp_path: Path, column: str) -> None:
        arrays = {name: pa.array(cells) for name, cells in columns_of(QUERIES).items()}
        arrays[column] = pa.array([1] * len(arrays["model"]))
        pq.write_table(pa.table(arrays), tmp_path / "table.parquet")
        assert f"column {column} is int64, expected text" in refusal(load, tmp_path / "table.parquet")

    @pytest.mark.parametrize("column", ["prompt_tokens", "stream_pos"])
    def test_text_where_numbers_should_be(self, load: Any, write: Any, columns: Columns, column: str) -> None:
        columns[column] = ["many"] * len(columns["model"])
        assert f"column {column} is string, expected numbers" in refusal(load, write(columns))

    def test_no_rows_of_the_split(self, load: Any, write: Any, columns: Columns) -> None:
        assert "no rows whose split is 'dev'" in refusal(load, write(columns), "dev")

    def test_an_empty_table(self, load: Any, write: Any, columns: Columns) -> None:
        assert "has no rows" in refusal(load, write({name: [] for name in columns}))

    @pytest.mark.parametrize("column", ["query_id", "prompt", "model"])
    def test_an_empty_cell(self, load: Any, write: Any, columns: Columns, column: str) -> None:
        columns[column][4] = None
        assert f"column {column} has empty cells" in refusal(load, write(columns))

    def test_a_query_and_model_that_stand_twice(self, load: Any, write: Any, columns: Columns) -> None:
        twice = {name: [*cells, cells[5]] for name, cells in columns.items()}
        assert "one row for each pair" in refusal(load, write(twice))


@pytest.mark.parametrize("column", ["score", "cost_usd"])
def test_outcomes_need_both_numbers(write: Any, columns: Columns, column: str) -> None:
    del columns[column]
    assert f"no column {column}:" in refusal(load_outcomes, write(columns))


@pytest.mark.parametrize("column", ["score", "cost_usd", "latency_s"])
def test_outcomes_are_numbers(write: Any, columns: Columns, column: str) -> None:
    columns[column] = ["good"] * len(columns["model"])
    assert f"column {column} is string, expected numbers" in refusal(load_outcomes, write(columns))


@pytest.mark.parametrize(
    ("column", "value"),
    [("score", 1.01), ("score", -0.01), ("score", np.inf), ("cost_usd", -1e-9), ("cost_usd", np.inf)],
)
def test_a_number_outside_its_range_is_refused(write: Any, columns: Columns, column: str, value: float) -> None:
    columns[column][7] = value
    assert f"column {column} runs from" in refusal(load_outcomes, write(columns))


@pytest.mark.parametrize("column", ["score", "cost_usd"])
@pytest.mark.parametrize("nothing", [None, np.nan])
def test_half_an_outcome_is_refused(write: Any, columns: Columns, column: str, nothing: Any) -> None:
    columns[column][7] = nothing
    assert "score without a cost_usd or the reverse" in refusal(load_outcomes, write(columns))


def test_a_token_count_beyond_reason_is_read_or_refused_in_one_line(write: Any, columns: Columns) -> None:
    columns["prompt_tokens"][0] = 2**62 + 1
    assert load_requests(write(columns), split=None).requests[0].prompt_tokens == pytest.approx(2**62)


def test_taking_rows_keeps_every_part_of_them() -> None:
    table = outcomes(QUERIES)
    some = table.take(np.array([3, 1]))
    assert some.query_ids == ("q3", "q1")
    assert some.labels == ("sum", "sum")
    assert some.requests == (table.requests[3], table.requests[1])
    np.testing.assert_array_equal(some.score, table.score[[3, 1]])
    is_odd = np.arange(QUERIES) % 2 == 1
    assert table.take(is_odd).query_ids == tuple(f"q{i}" for i in range(1, QUERIES, 2))


def test_a_larger_pool_knows_nothing_of_its_new_models() -> None:
    table = outcomes(QUERIES)
    wide = table.with_models(("aaa", "code"))
    assert wide.models == ("aaa", "big", "code", "math")
    assert not wide.known[:, 0].any()
    np.testing.assert_array_equal(wide.score[:, 1:], table.score)
    np.testing.assert_array_equal(wide.cost_usd[:, 1:], table.cost_usd)


@pytest.mark.parametrize(
    "change",
    ["prompt", "prompt_tokens", "score", "cost_usd", "model", "query_id", "source_task", "team"],
)
def test_tables_that_differ_anywhere_have_another_fingerprint(write: Any, columns: Columns, change: str) -> None:
    columns["team"] = ["a"] * len(columns["model"])
    before = load_outcomes(write(columns), split=None, context=("team",)).fingerprint()
    assert load_outcomes(write(columns), split=None, context=("team",)).fingerprint() == before
    cells = columns[change]
    old = cells[0]
    new = {"score": 1.0 - old if isinstance(old, float) else 0, "cost_usd": 0.5, "prompt_tokens": 999}.get(change, "z")
    columns[change] = [new if cell == old and columns["query_id"][i] == "q0" else cell for i, cell in enumerate(cells)]
    if change == "query_id":
        columns[change] = ["z" if cell == "q0" else cell for cell in cells]
    assert load_outcomes(write(columns), split=None, context=("team",)).fingerprint() != before
