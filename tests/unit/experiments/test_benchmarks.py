"""The harness of the benchmarks: figures, their bars, the audit of crashes, and how `bench` finds them."""

import json
from pathlib import Path

import numpy as np
import pytest

from evolving_ai.cli.main import main
from evolving_ai.decision.outcome_table import OutcomeTable, load_outcomes
from evolving_ai.errors import DataError
from experiments.benchmarks.bar import Bar, Limit, Outcome
from experiments.benchmarks.loop.crash import Committed, Losses
from experiments.benchmarks.loop.curves import Sweep, areas, baseline_sweeps
from experiments.benchmarks.routing_table import routing_table
from tests.architecture.source import ROOT

ONE_OF_TWO = {0: ("a", "1"), 1: ("b", None)}


@pytest.mark.parametrize(
    ("comparison", "value", "is_met"),
    [
        (">=", 1.5, True),
        (">=", 1.49, False),
        ("<", 1.5, False),
        ("<=", 1.5, True),
        ("=", 1.4, False),
        (">=", np.nan, False),
    ],
)
def test_a_bar_is_ok_when_its_figure_clears_it(comparison: str, value: float, is_met: bool) -> None:
    assert Bar("figure", value, "s", Limit(comparison, 1.5)).ok is is_met


def test_a_figure_without_a_bar_is_ok() -> None:
    assert Bar("figure", 7.0, "s").to_json() == {"name": "figure", "value": 7.0, "unit": "s", "bar": None, "ok": True}


def test_an_interval_is_a_key_only_where_there_is_one() -> None:
    document = Outcome((Bar("gain", 1.0, "points", Limit(">=", 1.5), (0.5, 2.0)),), "table.parquet").to_json()
    assert document["bars"][0]["interval"] == [0.5, 2.0]
    assert (document["data"], document["bars"][0]["bar"]) == ("table.parquet", ">= 1.5")


def test_an_unknown_comparison_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one of"):
        Limit("!=", 1.0)


def test_results_that_come_are_no_loss() -> None:
    losses = Losses()
    losses.count(Committed(ONE_OF_TWO), ["b", "c"], Committed({**ONE_OF_TWO, 1: ("b", "2"), 2: ("c", None)}))
    assert (losses.lost, losses.repeated) == (0, 0)


@pytest.mark.parametrize("after", [{0: ("a", "1")}, {**ONE_OF_TWO, 0: ("a", "9")}, {**ONE_OF_TWO, 1: ("x", None)}])
def test_a_committed_row_that_is_gone_or_changed_is_lost(after: dict[int, tuple[str, str | None]]) -> None:
    losses = Losses()
    losses.count(Committed(ONE_OF_TWO), [], Committed(after))
    assert losses.lost == 1


@pytest.mark.parametrize("evaluated", [["a"], ["b", "b"]])
def test_an_evaluation_after_its_commit_is_a_repetition(evaluated: list[str]) -> None:
    losses = Losses()
    losses.count(Committed(ONE_OF_TWO), evaluated, Committed(ONE_OF_TWO))
    assert losses.repeated == 1


def test_work_whose_result_was_not_committed_may_be_done_again() -> None:
    losses = Losses()
    for _ in range(2):
        losses.count(Committed(ONE_OF_TWO), ["b"], Committed(ONE_OF_TWO))
    assert (losses.repeated, losses.done_again) == (0, 1)


def small(split: str) -> OutcomeTable:
    return load_outcomes(ROOT / "experiments" / "data" / "llmrouter_slice.parquet", split=split).take(np.arange(200))


def test_the_areas_of_the_arms_stand_in_their_order() -> None:
    test = small("test")
    once = np.ones((1, len(test)), np.int64)
    area = {name: float(areas(sweep, test, once)[0]) for name, sweep in baseline_sweeps(small("train"), test).items()}
    assert area["zero router"] < max(area["kNN"], area["ridge"]) < area["oracle"] <= 100


def test_a_resample_that_draws_one_query_has_that_query_alone() -> None:
    test = small("test")
    sweep = Sweep(test.score.T, test.cost_usd.T)
    counts = np.zeros((1, len(test)), np.int64)
    counts[0, 3] = 5
    alone = test.take(np.array([3]))
    expected = areas(Sweep(alone.score.T, alone.cost_usd.T), alone, np.ones((1, 1), np.int64))
    assert areas(sweep, test, counts) == pytest.approx(expected)


def test_the_whole_table_is_preferred_to_the_slice(tmp_path: Path) -> None:
    (tmp_path / "llmrouter_slice.parquet").touch()
    assert routing_table(tmp_path).name == "llmrouter_slice.parquet"
    (tmp_path / "llmrouter.parquet").touch()
    assert routing_table(tmp_path).name == "llmrouter.parquet"


def test_a_folder_without_a_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds neither"):
        routing_table(tmp_path)


def test_an_unknown_benchmark_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["bench", "lopo", "--json"])
    assert stopped.value.code == 2
    assert "loop" in json.loads(capsys.readouterr().out)["error"]["message"]


def test_no_table_is_one_line_and_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["bench", "loop", "--data", str(tmp_path)])
    assert stopped.value.code == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_an_installation_without_the_source_tree_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("evolving_ai.__file__", str(tmp_path / "evolving_ai" / "__init__.py"))
    with pytest.raises(SystemExit) as stopped:
        main(["bench", "loop"])
    assert stopped.value.code == 2
    assert "checkout" in capsys.readouterr().err
