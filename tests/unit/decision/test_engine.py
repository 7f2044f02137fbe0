"""Deciding: the ends of the trade between quality and cost, constraints, and what a decision says of itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolving_ai.decision.engine import DecisionEngine
from evolving_ai.decision.features import RequestView
from evolving_ai.decision.fitting import Fitter
from evolving_ai.decision.predictor import Prediction
from evolving_ai.decision.scoring import PURE_COST, cost_weights, scores
from evolving_ai.domain.decision import Constraints
from evolving_ai.domain.dna import Genome
from evolving_ai.errors import DataError, UsageError
from tests.unit.decision.synthetic_outcomes import MODELS, genome, genomes, outcomes, prompt_of

GENOME = genome(quality__predictor="classes", quality__shrinkage=1.0, cost__predictor="grouped")
REQUEST = RequestView(prompt_of(201), 12)
UNIT = st.floats(0, 1, width=32)
PREDICTIONS = st.lists(
    st.lists(st.tuples(UNIT, st.floats(2.0**-20, 1.0, width=32)), min_size=3, max_size=3), min_size=1, max_size=8
).map(
    lambda rows: Prediction(
        np.array([[q for q, _ in row] for row in rows], np.float32),
        np.array([[c for _, c in row] for row in rows], np.float32),
    )
)


@pytest.fixture(scope="module")
def engine() -> DecisionEngine:
    return DecisionEngine(GENOME, Fitter(outcomes(120)).fit(GENOME.genes))


def chosen(prediction: Prediction, ranked: np.ndarray, values: np.ndarray) -> np.ndarray:
    return values[np.arange(len(values)), ranked.argmax(axis=1)]


@given(prediction=PREDICTIONS)
def test_at_weight_0_the_best_is_chosen_and_at_infinity_the_cheapest(prediction: Prediction) -> None:
    best = scores(prediction, GENOME.genes, 1.0, 0.0)
    np.testing.assert_array_equal(chosen(prediction, best, prediction.quality), prediction.quality.max(axis=1))
    cheapest = scores(prediction, GENOME.genes, 1.0, PURE_COST)
    np.testing.assert_array_equal(chosen(prediction, cheapest, prediction.cost_usd), prediction.cost_usd.min(axis=1))


@given(
    prediction=PREDICTIONS,
    weights=st.lists(st.floats(0, 1e3), min_size=2, max_size=2).map(sorted),
    exponent=st.sampled_from((0.3, 1.0, 1.5)),
)
def test_a_larger_cost_weight_never_makes_a_choice_dearer(
    prediction: Prediction, weights: list[float], exponent: float
) -> None:
    genes = genome(score__cost_exponent=exponent).genes
    costs = [
        float(chosen(prediction, scores(prediction, genes, 0.1, weight), prediction.cost_usd).mean())
        for weight in (*weights, PURE_COST)
    ]
    # Scores are of single precision: at a large weight a difference in their last bits may stay unseen.
    assert costs[0] >= costs[1] - 1e-4 * costs[0] - 1e-6
    assert costs[1] >= costs[2] - 1e-9


def test_without_an_override_the_weight_is_the_genomes_own() -> None:
    prediction = Prediction(np.array([0.5, 0.9], np.float32), np.array([1e-3, 1e-2], np.float32))
    genes = genome(score__cost_weight=2.0).genes
    np.testing.assert_array_equal(scores(prediction, genes, 1e-2), scores(prediction, genes, 1e-2, 2.0))


@pytest.mark.parametrize("points", [2, 3, 7, 100])
def test_a_sweep_rises_from_pure_quality_to_pure_cost(points: int) -> None:
    weights = cost_weights(points, 0.3)
    assert len(weights) == points
    assert (weights[0], weights[-1]) == (0.0, PURE_COST)
    assert (np.diff(weights) > 0).all()


def test_a_sweep_of_one_point_is_the_own_weight_and_none_is_refused() -> None:
    assert cost_weights(1, 0.3) == [0.3]
    with pytest.raises(ValueError, match="one point or more"):
        cost_weights(0, 0.3)


def test_a_decision_ranks_the_whole_pool_and_names_what_it_came_from(engine: DecisionEngine) -> None:
    decision = engine.decide(REQUEST)
    values = [target.score for target in decision.ranking]
    assert values == sorted(values, reverse=True)
    assert {target.model for target in decision.ranking} == set(MODELS)
    assert decision.model == decision.ranking[0].model
    assert decision.propensity == 1.0
    assert decision.dna_hash == GENOME.hash
    assert decision.snapshot_hash == engine.snapshot.hash
    assert decision.relaxed == ()
    prediction = engine.predict(REQUEST)
    for target in decision.ranking:
        place = engine.models.index(target.model)
        assert target.quality == pytest.approx(float(prediction.quality[place]))
        assert target.cost_usd == pytest.approx(float(prediction.cost_usd[place]))
        assert decision.scores[target.model] == target.score


CONSTRAINTS = st.builds(
    Constraints,
    max_cost_usd=st.none() | st.floats(0, 0.02),
    min_quality=st.none() | st.floats(0, 1),
    eligible=st.none() | st.sets(st.sampled_from(MODELS), min_size=1).map(frozenset),
)


@given(constraints=CONSTRAINTS, weight=st.none() | st.floats(0, 10) | st.just(PURE_COST))
@settings(max_examples=100)
def test_constraints_are_kept_unless_the_decision_says_that_nothing_could(
    engine: DecisionEngine, constraints: Constraints, weight: float | None
) -> None:
    decision = engine.decide(REQUEST, constraints, cost_weight=weight)
    eligible = set(MODELS) if constraints.eligible is None else set(constraints.eligible)
    everything = {t.model: t for t in engine.decide(REQUEST).ranking if t.model in eligible}.values()
    assert {target.model for target in decision.ranking} <= eligible
    assert list(decision.relaxed) == [n for n in ("min_quality", "max_cost_usd") if n in decision.relaxed]
    limit, least = constraints.max_cost_usd, constraints.min_quality
    if limit is not None and "max_cost_usd" not in decision.relaxed:
        assert all(target.cost_usd <= limit for target in decision.ranking)
    elif limit is not None:
        assert all(target.cost_usd > limit for target in everything)
    if least is not None and "min_quality" not in decision.relaxed:
        assert all(target.quality >= least for target in decision.ranking)
    elif least is not None:
        assert not any(t.quality >= least and t.model in {r.model for r in decision.ranking} for t in everything)
    values = [target.score for target in decision.ranking]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("eligible", [frozenset(), frozenset({"unheard-of"})])
def test_when_no_model_may_answer_the_error_names_the_pool(engine: DecisionEngine, eligible: frozenset[str]) -> None:
    with pytest.raises(DataError, match="big, code, math"):
        engine.decide(REQUEST, Constraints(eligible=eligible))


@given(wanted=genomes())
@settings(max_examples=15)
def test_an_engine_refuses_a_snapshot_of_other_genes(engine: DecisionEngine, wanted: Genome) -> None:
    other = wanted.replacing({"features.rarity": 0.123456})
    with pytest.raises(UsageError, match="fitted with other genes"):
        DecisionEngine(other, engine.snapshot)


def test_genes_of_decision_time_need_no_new_fit(engine: DecisionEngine) -> None:
    dearer = GENOME.replacing({"score.cost_weight": 30.0, "score.caution": 1.0})
    assert DecisionEngine(dearer, engine.snapshot).decide(REQUEST).model != "big"
