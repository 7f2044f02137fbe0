"""`evolving-ai replay` as a user runs it."""

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.integration.cli.program import refused, run
from tests.unit.decision.synthetic_outcomes import MODELS, columns_of, outcomes, write_table

QUERIES = 60
TEST_IDS = [f"q{i}" for i in range(0, QUERIES, 3)]
SCHEMA = pa.schema(
    [
        ("query_id", pa.string()),
        ("seed", pa.int64()),
        ("point", pa.int64()),
        ("cost_weight", pa.float64()),
        ("model", pa.string()),
        ("propensity", pa.float64()),
    ]
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_table(tmp_path / "table.parquet", columns_of(QUERIES))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.parquet"


def table_with(path: Path, **changes: Any) -> Path:
    """A table whose columns differ: a list replaces one, None removes it."""
    columns = columns_of(QUERIES)
    rows = len(columns["model"])
    for name, value in changes.items():
        if value is None:
            del columns[name]
        else:
            columns[name] = [value] * rows if not isinstance(value, list) else value
    return write_table(path, columns)


def test_greedy_replay_writes_one_decision_for_each_test_query_and_point(data: Path, out: Path) -> None:
    done = run("replay", data, "--decisions", out, "--points", 4, "--seed", 9, "--json")
    decided = pq.read_table(out)
    assert decided.schema.equals(SCHEMA)
    rows = decided.to_pylist()
    assert [(row["query_id"], row["point"]) for row in rows] == [(q, p) for q in TEST_IDS for p in range(4)]
    assert {row["seed"] for row in rows} == {9}
    assert {row["propensity"] for row in rows} == {1.0}
    weights = [row["cost_weight"] for row in rows[:4]]
    assert weights == sorted(set(weights))
    assert (weights[0], weights[-1]) == (0.0, float("inf"))
    assert done.document["count"] == len(rows) == 80
    assert [point["point"] for point in done.document["points"]] == list(range(4))


def test_the_figures_are_those_of_the_decisions(data: Path, out: Path) -> None:
    document = run("replay", data, "--decisions", out, "--json").document
    truth = outcomes(QUERIES)
    cells = [
        (truth.query_ids.index(row["query_id"]), truth.models.index(row["model"]))
        for row in pq.read_table(out).to_pylist()
    ]
    quality = sum(truth.score[cell] for cell in cells) / len(cells) * 100
    cost = sum(truth.cost_usd[cell] for cell in cells)
    (point,) = document["points"]
    assert point["quality"] == pytest.approx(quality)
    assert point["cost_usd"] == pytest.approx(cost)
    assert point["cost_usd_per_1k"] == pytest.approx(cost / len(cells) * 1000)
    assert document["best_single"]["model"] in MODELS
    assert document["aiq"] is None


def test_equal_replays_write_equal_bytes_and_a_table_for_people(data: Path, out: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.parquet"
    printed = run("replay", data, "--decisions", out, "--points", 3).output
    run("replay", data, "--decisions", again, "--points", 3)
    assert out.read_bytes() == again.read_bytes()
    assert "policy" in printed.splitlines()[0]
    assert "point 2" in printed


def test_greedy_decisions_do_not_depend_on_the_outcomes_of_scored_rows(data: Path, out: Path, tmp_path: Path) -> None:
    run("replay", data, "--decisions", out, "--points", 3)
    columns = columns_of(QUERIES)
    for name, worse in (("score", 0.0), ("cost_usd", 5.0), ("latency_s", 99.0)):
        columns[name] = [worse if columns["split"][i] == "test" else cell for i, cell in enumerate(columns[name])]
    other = write_table(tmp_path / "other.parquet", columns)
    run("replay", other, "--decisions", tmp_path / "other-out.parquet", "--points", 3)
    assert (tmp_path / "other-out.parquet").read_bytes() == out.read_bytes()


def test_rows_without_usable_outcomes_are_still_decided_when_the_policy_is_fitted_elsewhere(
    data: Path, out: Path, tmp_path: Path
) -> None:
    run("replay", data, "--decisions", out)
    garbled = table_with(tmp_path / "garbled.parquet", score="?", cost_usd="?")
    # The decisions stand; what fails afterwards is to say how they fared.
    assert (
        "column score is string"
        in run("replay", garbled, "--train", data, "--decisions", tmp_path / "blind.parquet", code=1).errors
    )
    assert (tmp_path / "blind.parquet").read_bytes() == out.read_bytes()


def test_stream_replay_decides_in_stream_order_with_its_propensities(data: Path, out: Path, tmp_path: Path) -> None:
    arguments = ("replay", data, "--mode", "stream", "--points", 2, "--context", "source_task", "--seed")
    document = run(*arguments, 3, "--decisions", out, "--json").document
    rows = pq.read_table(out).to_pylist()
    in_order = sorted(range(QUERIES), key=lambda i: (7 * i) % QUERIES)
    assert [row["query_id"] for row in rows if row["point"] == 0] == [f"q{i}" for i in in_order]
    assert len(rows) == document["count"] == 2 * QUERIES
    assert all(0 < row["propensity"] <= 1 for row in rows)
    assert any(row["propensity"] < 1 for row in rows)
    run(*arguments, 3, "--decisions", tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == out.read_bytes()
    run(*arguments, 4, "--decisions", tmp_path / "other.parquet")
    assert pq.read_table(tmp_path / "other.parquet").drop(["seed"]) != pq.read_table(out).drop(["seed"])


def test_answers_that_cost_nothing_can_be_swept(out: Path, tmp_path: Path) -> None:
    free = table_with(tmp_path / "free.parquet", cost_usd=0.0)
    done = run("replay", free, "--decisions", out, "--points", 8)
    assert "Warning" not in done.errors
    weights = pq.read_table(out)["cost_weight"].to_pylist()[:8]
    assert weights == sorted(set(weights))


@pytest.mark.parametrize("mode", ["greedy", "stream"])
def test_an_answer_that_nobody_scored_does_not_spoil_the_figures(out: Path, tmp_path: Path, mode: str) -> None:
    columns = columns_of(QUERIES)
    for name in ("score", "cost_usd"):
        columns[name] = [None if i % 10 == 0 else cell for i, cell in enumerate(columns[name])]
    holes = write_table(tmp_path / "holes.parquet", columns)
    for point in run("replay", holes, "--decisions", out, "--mode", mode, "--points", 3, "--json").document["points"]:
        assert 0 <= point["quality"] <= 100
        assert point["cost_usd_per_1k"] > 0


BAD_TABLES: dict[str, tuple[dict[str, Any], str]] = {
    "no score": ({"score": None}, "no column score"),
    "text for scores": ({"score": "good"}, "expected numbers"),
    "score too high": ({"score": 3.0}, "expected 0 to 1"),
    "negative cost": ({"cost_usd": -1.0}, "expected 0 or more"),
    "no test rows": ({"split": "train"}, "no rows whose split is 'test'"),
    "no train rows": ({"split": "test"}, "no rows whose split is 'train'"),
    "one query twice": ({"query_id": "q0"}, "one row for each pair"),
}


@pytest.mark.parametrize(("changes", "reason"), BAD_TABLES.values(), ids=BAD_TABLES.keys())
def test_a_bad_table_is_refused_in_one_line_and_nothing_is_written(
    out: Path, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    bad = table_with(tmp_path / "bad.parquet", **changes)
    assert reason in refused("replay", bad, "--decisions", out)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.parquet"]


@pytest.mark.parametrize("content", [None, b"", b"not parquet"], ids=["missing", "empty", "text"])
def test_what_is_no_table_is_refused_in_one_line(out: Path, tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "no-table.parquet"
    if content is not None:
        file.write_bytes(content)
    assert str(file) in refused("replay", file, "--decisions", out)
    assert not out.exists()


def test_a_policy_is_never_fitted_on_the_rows_that_it_decides(data: Path, out: Path) -> None:
    assert "is also to be decided" in refused("replay", data, "--decisions", out, "--split", "train")


def test_outcomes_cannot_be_named_as_context(data: Path, out: Path) -> None:
    assert "score cannot be context" in refused("replay", data, "--decisions", out, "--context", "score")
    assert not out.exists()


@pytest.mark.parametrize(
    "option", [("--dna", "nowhere"), ("--mode", "lazy"), ("--points", "0"), ("--seed", "-1"), ("--seed", "one")]
)
def test_wrong_use_is_refused_in_one_line(data: Path, out: Path, option: tuple[str, str]) -> None:
    refused("replay", data, "--decisions", out, *option, code=2)
    assert not out.exists()


def test_the_table_is_never_overwritten(data: Path) -> None:
    before = data.read_bytes()
    assert "would overwrite" in refused("replay", data, "--decisions", data, code=2)
    assert data.read_bytes() == before


@pytest.mark.parametrize("target", ["folder", "no/such/folder/out.parquet", "table.parquet/out.parquet", "/proc/out"])
def test_a_target_that_cannot_be_written_is_refused_in_one_line(data: Path, tmp_path: Path, target: str) -> None:
    (tmp_path / "folder").mkdir()
    refused("replay", data, "--decisions", tmp_path / target)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["folder", "table.parquet"]


def test_a_device_is_not_replaced_by_a_file(data: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    refused("replay", data, "--decisions", pipe, code=2)
    assert pipe.is_fifo()
