"""Recorded outcomes, read from tables as they come."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evolving_ai.errors import DataError
from evolving_ai.serving.replay_provider.table import RecordedOutcome, load_replay_table


def row(prompt: str = "why?", model: str = "small", **values: Any) -> dict[str, Any]:
    return {
        "query_id": prompt,
        "prompt": prompt,
        "model": model,
        "score": 0.5,
        "prompt_tokens": 10,
        "completion_tokens": 20,
        "cost_usd": 0.1,
    } | values


def written(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "table.parquet"
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def test_an_outcome_is_found_by_model_and_prompt(tmp_path: Path) -> None:
    table = load_replay_table(written(tmp_path, row(), row(model="large", score=1.0, completion_tokens=7)))

    assert table.models == ("large", "small")
    assert table.find(0, "why?") == RecordedOutcome(1.0, 10, 7, None)
    assert table.find(1, "why?") == RecordedOutcome(0.5, 10, 20, None)
    assert table.find(1, "why ?") is None


def test_a_recorded_latency_is_kept(tmp_path: Path) -> None:
    table = load_replay_table(written(tmp_path, row(latency_s=1.5), row("how?", latency_s=None)))

    assert table.find(0, "why?") == RecordedOutcome(0.5, 10, 20, 1.5)
    assert table.find(0, "how?") == RecordedOutcome(0.5, 10, 20, None)


def test_the_first_of_several_rows_counts(tmp_path: Path) -> None:
    rows = [row(score=None), row(score=0.25), row(score=0.75), row(model="large")]

    assert load_replay_table(written(tmp_path, *rows)).find(1, "why?") == RecordedOutcome(0.25, 10, 20, None)


def test_what_a_model_was_not_asked_is_unknown(tmp_path: Path) -> None:
    table = load_replay_table(written(tmp_path, row("why?", "small"), row("how?", "large")))

    assert table.find(0, "why?") is None
    assert table.find(0, "how?") is not None


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([], "no column|no rows"),
        ([{"prompt": "a", "model": "b"}], "no column score"),
        ([row(prompt=None), row()], "empty cells"),
        ([row(score="good")], "expected numbers"),
        ([row(prompt_tokens=-1)], "0 or more"),
        ([row(completion_tokens=10**9)], "at most"),
        ([row(score=float("inf"))], "0 or more"),
    ],
)
def test_a_table_that_is_none_is_refused_in_one_line(tmp_path: Path, rows: list[dict[str, Any]], what: str) -> None:
    with pytest.raises(DataError, match=what) as caught:
        load_replay_table(written(tmp_path, *rows))

    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")

    for path in (tmp_path / "text", tmp_path, tmp_path / "missing"):
        with pytest.raises(DataError, match="expected"):
            load_replay_table(path)
