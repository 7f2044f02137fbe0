"""A candidate that only live evidence can catch, on the recorded outcomes that come along."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from evolving_ai._common.clock import ManualClock
from evolving_ai.decision.engine import DecisionEngine
from evolving_ai.decision.outcome_table import load_outcomes, load_requests
from evolving_ai.decision.replay import replay_greedy
from evolving_ai.demo.harmful import HarmfulCandidate, find_harmful
from evolving_ai.domain.dna import Genome
from evolving_ai.domain.mutation import changes_between
from evolving_ai.errors import DataError
from evolving_ai.rollout.plan import Margins, RolloutPlan
from evolving_ai.wiring.held_out import Ground
from evolving_ai.wiring.rollout_gates import judge
from evolving_ai.wiring.search_space import search_space
from tests.unit.decision.synthetic_outcomes import genome
from tests.unit.wiring.recorded_ground import columns_with_validation, ground_of

SLICE = Path(__file__).parents[3] / "experiments" / "data" / "llmrouter_slice.parquet"
# Like what campaigns make of the train split.
EVOLVED = genome(quality__predictor="blend", cost__predictor="linear", score__cost_weight=0.15, score__caution=0.1)
PLAN = RolloutPlan()


@pytest.fixture(scope="module")
def ground() -> Ground:
    return Ground.of_table(SLICE)


@pytest.fixture(scope="module")
def found(ground: Ground) -> HarmfulCandidate:
    return find_harmful(EVOLVED, ground, PLAN, ManualClock())


def replayed(dna: Genome, ground: Ground) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The models that it chooses on validation, their scores and their costs, by greedy replay."""
    engine = DecisionEngine(dna, ground.snapshot(dna))
    requests, outcomes = (load(SLICE, split="validation") for load in (load_requests, load_outcomes))
    decisions = replay_greedy(engine, requests, [float(dna.genes["score.cost_weight"])], seed=0)
    return decisions.models, *decisions.outcomes(outcomes)[0]


def test_it_is_legal_dna_that_weighs_costs_more_and_nothing_else(found: HarmfulCandidate) -> None:
    search_space().validate(found.genome.genes)
    (change,) = changes_between(EVOLVED.genes, found.genome.genes)
    assert change.gene == "score.cost_weight"
    assert 1.5 <= float(change.after or 0) / 0.15 <= 12.0 + 1e-9


def test_every_gate_lets_it_pass(found: HarmfulCandidate, ground: Ground) -> None:
    assert all(gate.passed for gate in judge(ground, found.genome, EVOLVED, PLAN, ManualClock()))


def test_its_figures_are_those_of_a_replay(found: HarmfulCandidate, ground: Ground) -> None:
    (old_models, old_score, old_cost), (models, score, cost) = replayed(EVOLVED, ground), replayed(found.genome, ground)
    is_old, is_new = np.array(old_models) == found.model, np.array(models) == found.model

    assert (found.share_before, found.share_after) == (is_old.mean(), is_new.mean())
    assert found.quality_change == pytest.approx(100 * (score.mean() - old_score.mean()))
    assert found.cost_ratio == pytest.approx(cost.mean() / old_cost.mean())
    broken = score * ~is_new, old_score * ~is_old
    assert found.expected_harm == pytest.approx(100 * (broken[1].mean() - broken[0].mean()))


def test_it_is_cheaper_and_no_worse_until_the_model_gets_worse(found: HarmfulCandidate) -> None:
    assert found.cost_ratio < 1
    assert found.quality_change >= -100 * PLAN.margins.quality
    assert found.share_after - found.share_before >= 0.30
    assert found.expected_harm >= 20


def test_the_least_change_that_is_harmful_enough_is_taken(found: HarmfulCandidate, ground: Ground) -> None:
    chosen = float(found.genome.genes["score.cost_weight"]) / 0.15
    models, score, _ = replayed(EVOLVED, ground)
    for factor in (each for each in (1.5, 2.0, 3.0, 4.0, 5.0, 6.0) if each < chosen - 1e-9):
        milder, its_score, _ = replayed(EVOLVED.replacing({"score.cost_weight": 0.15 * factor}), ground)
        was, is_now = np.array(models) == found.model, np.array(milder) == found.model
        harm = 100 * ((score * ~was).mean() - (its_score * ~is_now).mean())
        assert harm < 20 or is_now.mean() - was.mean() < 0.30


def test_it_is_the_same_each_time(found: HarmfulCandidate, ground: Ground) -> None:
    assert find_harmful(EVOLVED, ground, PLAN, ManualClock()) == found


def test_what_a_gate_vetoes_is_no_candidate(found: HarmfulCandidate, ground: Ground) -> None:
    assert found.quality_change < -0.1
    strict = dataclasses.replace(PLAN, margins=Margins(quality=1e-3))
    with pytest.raises(DataError, match="no thriftier DNA"):
        find_harmful(EVOLVED, ground, strict, ManualClock())


def test_dna_that_cannot_lean_on_one_model_is_refused(ground: Ground) -> None:
    all_to_the_cheapest = genome(score__cost_weight=30.0)
    with pytest.raises(DataError, match="no thriftier DNA"):
        find_harmful(all_to_the_cheapest, ground, PLAN, ManualClock())


def test_without_recorded_outcomes_there_is_none() -> None:
    with pytest.raises(DataError, match="expected recorded outcomes"):
        find_harmful(EVOLVED, Ground(("a", "b"), None, {}), PLAN, ManualClock())


def test_it_is_found_on_a_table_without_a_validation_split(tmp_path: Path) -> None:
    columns = columns_with_validation(240)
    columns["split"] = ["train"] * len(columns["split"])
    live = genome(quality__predictor="classes", score__cost_weight=0.01)
    some = find_harmful(
        live, ground_of(tmp_path / "t.parquet", columns), RolloutPlan(margins=Margins(quality=0.2)), ManualClock()
    )
    assert some.share_after - some.share_before >= 0.30
