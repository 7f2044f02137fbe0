"""Policies on rows that they were not fitted on: which rows are fitted, which are decided, which are not touched."""

from pathlib import Path

import numpy as np
import pytest

from evolving_ai.decision.engine import DecisionEngine
from evolving_ai.decision.outcome_table import load_outcomes
from evolving_ai.domain.money import TokenPrice
from evolving_ai.errors import DataError
from evolving_ai.wiring.held_out import Ground, choose, compare, joined, prompts, trials
from evolving_ai.wiring.snapshots import bootstrap_snapshot
from tests.unit.decision.synthetic_outcomes import MODELS, genome, write_table
from tests.unit.wiring.recorded_ground import columns_with_validation, ground_of, replaced, split_of

GENOME = genome(quality__predictor="classes", score__cost_weight=1e-3)


def test_fitted_is_on_train_and_decided_is_validation(tmp_path: Path) -> None:
    ground = ground_of(tmp_path / "t.parquet", columns_with_validation())
    said, (trial,) = trials(ground)

    assert said == "validation requests"
    assert {split_of(query_id) for query_id in trial.rows.query_ids} == {"validation"}
    assert trial.fit(GENOME).hash == bootstrap_snapshot(GENOME, MODELS, ground.table, {}).hash


def test_outcomes_of_validation_rows_change_no_fit(tmp_path: Path) -> None:
    columns = columns_with_validation()
    other = replaced(columns, {"score": 0.0, "cost_usd": 1.0}, lambda row: row["split"] == "validation")
    fits = [
        trials(ground_of(tmp_path / f"{place}.parquet", table))[1][0].fit(GENOME).hash
        for place, table in enumerate((columns, other))
    ]
    assert fits[0] == fits[1]


@pytest.mark.parametrize("has_splits", [True, False])
def test_without_a_validation_split_every_other_row_is_decided_by_what_has_not_seen_it(
    tmp_path: Path, has_splits: bool
) -> None:
    columns = columns_with_validation()
    columns["split"] = ["test" if split == "test" else "train" for split in columns["split"]]
    if not has_splits:
        del columns["split"]
    said, given = trials(ground_of(tmp_path / "t.parquet", columns))

    assert "5 folds" in said
    decided = [query_id for trial in given for query_id in trial.rows.query_ids]
    expected = {name for name in columns["query_id"] if not has_splits or split_of(name) != "test"}
    assert (len(given), set(decided), len(decided)) == (5, expected, len(expected))
    for place, trial in enumerate(given):
        seen = set(trial.rows.query_ids)
        changed = replaced(columns, {"score": 0.0}, lambda row, seen=seen: row["query_id"] in seen)
        _, again = trials(ground_of(tmp_path / f"{place}.parquet", changed))
        assert again[place].fit(GENOME).hash == trial.fit(GENOME).hash


def test_a_table_with_nothing_but_a_test_split_says_nothing(tmp_path: Path) -> None:
    columns = columns_with_validation()
    columns["split"] = ["test"] * len(columns["split"])
    assert trials(ground_of(tmp_path / "t.parquet", columns)) == ("", ())


def test_no_table_another_pool_and_a_single_query_say_nothing(tmp_path: Path) -> None:
    columns = columns_with_validation()
    del columns["split"]
    table = write_table(tmp_path / "t.parquet", columns)
    single = {name: cells[: len(MODELS)] for name, cells in columns.items()}

    assert trials(Ground(MODELS, None, {})) == ("", ())
    assert trials(Ground(("x", "y"), table, {})) == ("", ())
    assert trials(ground_of(tmp_path / "single.parquet", single)) == ("", ())


def test_a_missing_table_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        trials(Ground(MODELS, tmp_path / "none.parquet", {}))


def test_a_table_as_a_ground_has_the_models_of_its_train_split(tmp_path: Path) -> None:
    assert Ground.of_table(write_table(tmp_path / "t.parquet", columns_with_validation())).models == MODELS


def test_dna_that_is_fitted_alike_shares_a_snapshot(tmp_path: Path) -> None:
    ground = ground_of(tmp_path / "t.parquet", columns_with_validation())
    dearer = GENOME.replacing({"score.cost_weight": 1.0})
    finer = GENOME.replacing({"features.rarity": 1.5})
    assert ground.snapshot(GENOME) is ground.snapshot(dearer)
    assert ground.snapshot(GENOME).hash != ground.snapshot(finer).hash


def test_outcomes_are_looked_up_for_what_was_chosen(tmp_path: Path) -> None:
    ground = ground_of(tmp_path / "t.parquet", columns_with_validation())
    _, (trial,) = trials(ground)
    engine = DecisionEngine(GENOME, trial.fit(GENOME))

    found = choose(engine, trial.rows)

    truth = load_outcomes(tmp_path / "t.parquet", split="validation")
    for row, request in enumerate(truth.requests):
        decision = engine.decide(request)
        assert ground.models[found.model[row]] == ground.models[found.judged[row]] == decision.model
        assert found.predicted_usd[row] == decision.costs_usd[decision.chosen]
        assert found.score[row] == truth.score[row, decision.chosen]
        assert found.cost_usd[row] == truth.cost_usd[row, decision.chosen]
    assert (found.latency_s == 0.5).all()


def test_a_model_that_nobody_recorded_is_chosen_but_another_one_is_judged(tmp_path: Path) -> None:
    ground = ground_of(tmp_path / "t.parquet", columns_with_validation(), "new", prices={"new": TokenPrice(1, 1)})
    thrifty = genome(quality__predictor="classes", score__cost_weight=10.0)
    _, (trial,) = trials(ground)

    found = choose(DecisionEngine(thrifty, trial.fit(thrifty)), trial.rows)

    new = ground.models.index("new")
    assert (found.model == new).all()
    assert not (found.judged == new).any()
    assert not np.isnan(found.score).any()
    assert compare("rows", found, found).unrecorded == 1.0


def test_the_comparison_is_paired_and_the_same_each_time(tmp_path: Path) -> None:
    _, (trial,) = trials(ground_of(tmp_path / "t.parquet", columns_with_validation()))
    dear, thrifty = genome(quality__predictor="classes"), genome(quality__predictor="classes", score__cost_weight=5.0)
    one, two = (choose(DecisionEngine(each, trial.fit(each)), trial.rows) for each in (dear, thrifty))

    found = compare("rows", two, one)

    assert found == compare("rows", two, one)
    assert found.difference == pytest.approx(100 * float(np.mean(two.score - one.score)))
    assert found.difference == pytest.approx(found.quality - found.live_quality)
    assert found.low <= found.difference <= found.high
    assert found.cost_usd_per_1k < found.live_cost_usd_per_1k
    assert (found.latency_s, found.live_latency_s) == (0.5, 0.5)
    assert compare("rows", joined([two, two]), joined([one, one])).requests == 2 * found.requests


def test_latency_that_was_not_recorded_is_not_compared(tmp_path: Path) -> None:
    columns = columns_with_validation()
    del columns["latency_s"]
    _, (trial,) = trials(ground_of(tmp_path / "t.parquet", columns))
    choices = choose(DecisionEngine(GENOME, trial.fit(GENOME)), trial.rows)
    found = compare("rows", choices, choices)
    assert (found.latency_s, found.live_latency_s) == (None, None)


def test_prompts_are_from_all_over_the_rows_or_made_up(tmp_path: Path) -> None:
    _, given = trials(ground_of(tmp_path / "t.parquet", columns_with_validation()))
    rows = given[0].rows
    assert prompts(given, 10_000) == rows.requests
    few = prompts(given, 5)
    assert (len(few), few[0], few[-1]) == (5, rows.requests[0], rows.requests[-1])
    assert len(prompts((), 200)) > 2
