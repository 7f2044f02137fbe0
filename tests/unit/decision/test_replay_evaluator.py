"""The evaluator of a routing campaign: honest cross-validation, by hand and by attempts to make it cheat."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolving_ai._common.rng import derive_rng
from evolving_ai.decision.cost_quality import oracle_choice
from evolving_ai.decision.engine import DecisionEngine
from evolving_ai.decision.fitting import Fitter
from evolving_ai.decision.outcome_table import OutcomeTable
from evolving_ai.decision.replay_evaluator import ROUTING_OBJECTIVES, ReplayEvaluator, ReplaySettings
from evolving_ai.domain.dna import Genome
from evolving_ai.errors import DataError
from evolving_ai.evolution.evaluation import checked
from tests.unit.decision.synthetic_outcomes import genome, genomes, outcomes

SORTING = genome(quality__predictor="classes", quality__residual="on", quality__shrinkage=1.0)


def choices_by_hand(table: OutcomeTable, wanted: Genome, folds: int, seed: int) -> list[tuple[int, int]]:
    """Fold by fold: fit on the others, ask an engine about each query, look its choice up."""
    fold_of = derive_rng(seed, "folds").permutation(len(table)) % folds
    chosen = []
    for fold in range(folds):
        # The weights of features are those of all prompts (they carry no outcome), so the fitter holds them all.
        engine = DecisionEngine(wanted, Fitter(table).fit(wanted.genes, fold_of != fold))
        for row in np.flatnonzero(fold_of == fold):
            ranked = engine.decide(table.requests[row]).ranking
            places = [table.models.index(target.model) for target in ranked]
            chosen.append((int(row), next(place for place in places if table.known[row, place])))
    return chosen


@pytest.mark.parametrize("folds", [2, 3, 5])
@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_the_score_is_that_of_a_cross_validation_by_hand(folds: int, missing: float) -> None:
    table = outcomes(30, missing=missing)
    chosen = choices_by_hand(table, SORTING, folds, seed=4)
    evaluation = ReplayEvaluator(table, ReplaySettings(folds=folds, seed=4)).evaluate(SORTING)
    scores = np.array([table.score[cell] for cell in chosen])
    costs = np.array([table.cost_usd[cell] for cell in chosen])
    assert evaluation.scores["quality"].value == pytest.approx(100 * scores.mean())
    assert evaluation.scores["quality"].standard_error == pytest.approx(100 * scores.std() / np.sqrt(30))
    assert evaluation.scores["cost_usd_per_1k"].value == pytest.approx(1000 * costs.mean())


def test_fitness_is_utility_over_the_oracles() -> None:
    table = outcomes(30)
    evaluation = ReplayEvaluator(table, ReplaySettings(utility_cost_weight=0.2)).evaluate(SORTING)
    dearest = table.cost_usd.mean(axis=0).max()
    rows, oracle = np.arange(30), oracle_choice(table)
    best = (table.score[rows, oracle] - 0.2 * table.cost_usd[rows, oracle] / dearest).mean()
    own = evaluation.scores["quality"].value / 100 - 0.2 * evaluation.scores["cost_usd_per_1k"].value / 1000 / dearest
    assert evaluation.measures["fitness_score"] == pytest.approx(own / best)


@given(wanted=genomes())
@settings(max_examples=15)
def test_every_legal_genome_gets_complete_and_equal_scores_each_time(wanted: Genome) -> None:
    table = outcomes(24)
    shared = ReplayEvaluator(table, ReplaySettings())
    first, again = shared.evaluate(wanted), shared.evaluate(wanted)
    fresh = ReplayEvaluator(table, ReplaySettings()).evaluate(wanted)
    assert first == again == fresh
    assert checked(first, ROUTING_OBJECTIVES).failure is None
    assert 0 <= first.scores["quality"].value <= 100
    assert first.scores["cost_usd_per_1k"].value > 0
    assert 0 <= first.measures["fitness_score"] <= 1
    assert 0 <= first.measures["aiq"] <= 100


@given(first=genomes(), second=genomes())
@settings(max_examples=10)
def test_what_was_evaluated_before_changes_no_score(first: Genome, second: Genome) -> None:
    table = outcomes(24)
    shared = ReplayEvaluator(table, ReplaySettings())
    shared.evaluate(first)
    assert shared.evaluate(second) == ReplayEvaluator(table, ReplaySettings()).evaluate(second)


def test_a_policy_that_sorts_prompts_beats_the_means() -> None:
    table = outcomes(120, models=("code", "math"))
    evaluator = ReplayEvaluator(table, ReplaySettings())
    assert evaluator.evaluate(SORTING).scores["quality"].value > 80
    assert evaluator.evaluate(genome()).scores["quality"].value < 65


@given(seed=st.integers(0, 1000))
@settings(max_examples=5)
def test_scores_that_are_pure_chance_cannot_be_predicted(seed: int) -> None:
    # Coin flips for each query and model: who saw a held-out row could reach 75, nobody else more than chance.
    table = outcomes(240, seed=seed, models=("code", "math"))
    flips = (derive_rng(seed, "flips").random(table.score.shape) < 0.5).astype(np.float64)
    table = dataclasses.replace(table, score=flips)
    overfitting = genome(
        quality__predictor="blend",
        clusters__count=32,
        quality__shrinkage=0.5,
        quality__residual="on",
        quality__residual_ridge_log2=1,
        quality__residual_weight=1.5,
    )
    quality = ReplayEvaluator(table, ReplaySettings()).evaluate(overfitting).scores["quality"]
    assert abs(quality.value - 50) < 4.5 * quality.standard_error


def test_wrong_labels_do_not_help() -> None:
    table = outcomes(120, models=("code", "math"))
    rng = derive_rng(3, "labels")
    wanted = genome(quality__predictor="classes", quality__shrinkage=1.0)
    honest = ReplayEvaluator(table, ReplaySettings()).evaluate(wanted).scores["quality"].value
    misled = []
    for _ in range(6):
        shuffled = tuple(rng.permutation(table.labels or ()).tolist())
        evaluator = ReplayEvaluator(dataclasses.replace(table, labels=shuffled), ReplaySettings())
        misled.append(evaluator.evaluate(wanted).scores["quality"].value)
    assert honest > 80
    assert np.mean(misled) < 65


def test_answers_that_nobody_scored_are_never_chosen() -> None:
    table = outcomes(30, missing=0.6)
    evaluation = ReplayEvaluator(table, ReplaySettings()).evaluate(SORTING)
    assert np.isfinite(evaluation.scores["quality"].value)
    assert evaluation.scores["quality"].value <= 100 * np.nanmax(table.score, axis=1).mean() + 1e-9


def test_a_query_without_any_scored_answer_does_not_spoil_the_scores() -> None:
    table = outcomes(30)
    score, cost = table.score.copy(), table.cost_usd.copy()
    score[7] = cost[7] = np.nan
    evaluator = ReplayEvaluator(dataclasses.replace(table, score=score, cost_usd=cost), ReplaySettings())
    assert checked(evaluator.evaluate(SORTING), ROUTING_OBJECTIVES).failure is None


def test_too_few_queries_or_folds_are_refused() -> None:
    with pytest.raises(DataError, match="cannot be split into 5 folds"):
        ReplayEvaluator(outcomes(4), ReplaySettings(folds=5))
    with pytest.raises(ValueError, match="two folds or more"):
        ReplaySettings(folds=1)
