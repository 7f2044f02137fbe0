"""Learning online: exact Bayesian regression, honest propensities, and the better arm in each context."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolving_ai._common.rng import derive_rng
from evolving_ai.decision.features import RequestView
from evolving_ai.decision.learning import StreamLearner
from evolving_ai.decision.learning.hierarchical_rewards import EffectLevel, HierarchicalRewards
from tests.unit.decision.synthetic_outcomes import genome, outcomes

MODELS, NOISE = 3, 0.45
KEYS = ("overall", "team a", "team b", "text")
POOL_SPREAD, MODEL_SPREAD = 0.7, 0.4
STEPS = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(KEYS), st.floats(-2, 2), min_size=1),
        st.integers(0, MODELS - 1),
        st.floats(0, 1),
    ),
    min_size=1,
    max_size=12,
)


def levels_of(values: dict[str, float]) -> list[EffectLevel]:
    return [EffectLevel(key, value, POOL_SPREAD, MODEL_SPREAD) for key, value in values.items()]


def design_row(values: dict[str, float], model: int) -> np.ndarray:
    """How the effects (for each key: of the pool, then of each model) enter one reward."""
    row = np.zeros((len(KEYS), MODELS + 1))
    for key, value in values.items():
        row[KEYS.index(key), 0] = row[KEYS.index(key), model + 1] = value
    return row.ravel()


def batch_posterior(steps: list[tuple[dict[str, float], int, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Bishop 2006, equations 3.50 and 3.51, all outcomes at once."""
    prior = np.tile([POOL_SPREAD**2, *[MODEL_SPREAD**2] * MODELS], len(KEYS))
    design = np.array([design_row(values, model) for values, model, _ in steps])
    rewards = np.array([reward for *_, reward in steps])
    covariance = np.linalg.inv(np.diag(1 / prior) + design.T @ design / NOISE**2)
    return covariance @ design.T @ rewards / NOISE**2, covariance


@given(steps=STEPS, asked=st.dictionaries(st.sampled_from(KEYS), st.floats(-2, 2), min_size=1))
def test_one_by_one_it_learns_what_batch_regression_finds(
    steps: list[tuple[dict[str, float], int, float]], asked: dict[str, float]
) -> None:
    rewards = HierarchicalRewards(MODELS, noise=NOISE)
    for values, model, reward in steps:
        rewards.learn(rewards.look(levels_of(values)), model, reward)
    belief = rewards.look(levels_of(asked))
    mean, covariance = batch_posterior(steps)
    rows = np.array([design_row(asked, model) for model in range(MODELS)])
    np.testing.assert_allclose(belief.mean, rows @ mean, atol=1e-9)
    np.testing.assert_allclose(belief.covariance, rows @ covariance @ rows.T, atol=1e-9)


@given(steps=STEPS)
def test_the_belief_stays_symmetric_and_positive(steps: list[tuple[dict[str, float], int, float]]) -> None:
    rewards = HierarchicalRewards(MODELS, noise=NOISE)
    for values, model, reward in steps * 5:
        belief = rewards.look(levels_of(values))
        np.testing.assert_allclose(belief.covariance, belief.covariance.T, atol=1e-12)
        assert np.linalg.eigvalsh(belief.covariance).min() >= -1e-10
        rewards.learn(belief, model, reward)


def test_many_contexts_outgrow_the_first_arrays_without_loss() -> None:
    rewards = HierarchicalRewards(MODELS, noise=NOISE)
    for number in range(60):
        rewards.learn(rewards.look([EffectLevel(number, 1.0, 1.0, 1.0)]), 0, 1.0)
    first, last, new = (rewards.look([EffectLevel(n, 1.0, 1.0, 1.0)]).mean for n in (0, 59, 60))
    np.testing.assert_allclose(first, last)
    assert first[0] > first[1] > 0
    np.testing.assert_array_equal(new, 0)


def test_beyond_the_limit_new_contexts_are_judged_by_the_coarser_levels() -> None:
    rewards = HierarchicalRewards(MODELS, noise=NOISE, max_effects=8)
    overall, known, late = (EffectLevel(key, 1.0, 1.0, 1.0) for key in ("overall", "known", "late"))
    rewards.learn(rewards.look([overall, known]), 1, 1.0)
    np.testing.assert_array_equal(rewards.look([overall, late]).mean, rewards.look([overall]).mean)
    assert rewards.look([overall, late]).mean[1] > 0


def learner(seed: int = 0, **genes: float) -> StreamLearner:
    return StreamLearner(("a", "b", "c"), genome(**genes).genes, derive_rng(seed, "stream"))


@given(seed=st.integers(0, 50), floor=st.sampled_from((0.0, 0.01, 0.1)), weight=st.sampled_from((0.0, 0.5, np.inf)))
@settings(max_examples=15)
def test_the_reported_propensity_is_the_odds_of_the_draw(seed: int, floor: float, weight: float) -> None:
    # An equal learner, in an equal state, draws the same odds: with a floor they sum to one over the pool.
    table = outcomes(12)
    one, other = (learner(seed, explore__floor=floor) for _ in range(2))
    available = np.array([True, True, seed % 2 == 0])
    for row, request in enumerate(table.requests):
        first = one.choose(request, available, cost_weight=weight)
        second = other.choose(request, available, cost_weight=weight)
        assert (first.model, first.propensity) == (second.model, second.propensity)
        assert available[first.model]
        assert 0 < first.propensity <= 1
        assert first.propensity >= floor
        # 128 samples, then the floor: the odds come in steps of one sample.
        share = (first.propensity - floor) / (1 - floor * available.sum()) * 128
        assert share == pytest.approx(round(share), abs=1e-6)
        for each in (one, other):
            each.learn(first, score=float(table.score[row, 0]), cost_usd=1e-3 * (1 + first.model))


class Fixed:
    """A generator that draws what it is told, and remembers the odds that it was asked to choose by."""

    def __init__(self, pick: int) -> None:
        self._pick = pick
        self.odds: list[np.ndarray] = []

    def standard_normal(self, shape: tuple[int, int]) -> np.ndarray:
        return derive_rng(1, "draws").standard_normal(shape)

    def choice(self, size: int, p: np.ndarray) -> int:
        self.odds.append(p)
        return self._pick


@pytest.mark.parametrize("pick", [0, 1, 2])
def test_propensities_sum_to_one_and_the_reported_one_is_the_one_used(pick: int) -> None:
    rng = Fixed(pick)
    wanted = genome(explore__floor=0.05, explore__spread=1.0).genes
    one = StreamLearner(("a", "b", "c"), wanted, rng)  # type: ignore[arg-type]
    choice = one.choose(RequestView("hello"), np.ones(3, np.bool_), cost_weight=0.0)
    assert choice.model == pick
    assert rng.odds[0].sum() == pytest.approx(1.0)
    assert rng.odds[0].min() >= 0.05
    assert choice.propensity == pytest.approx(rng.odds[0][pick])


def test_an_unavailable_model_is_never_tried_whatever_the_floor() -> None:
    one, pool = learner(explore__floor=0.1), np.array([True, False, True])
    for request in outcomes(40).requests:
        choice = one.choose(request, pool)
        assert choice.model != 1
        one.learn(choice, score=0.0, cost_usd=1e-3)


def test_at_pure_cost_it_settles_on_the_cheapest() -> None:
    one, prices, models = learner(), (3e-3, 1e-3, 2e-3), []
    for request in outcomes(30).requests:
        choice = one.choose(request, np.ones(3, np.bool_), cost_weight=np.inf)
        one.learn(choice, score=1.0, cost_usd=prices[choice.model])
        models.append(choice.model)
    assert set(models[10:]) == {1}


def test_in_two_contexts_it_beats_the_best_single_arm() -> None:
    chances = {"code": (0.9, 0.1, 0.55), "sum": (0.1, 0.9, 0.55)}
    rewards = []
    for seed in range(3):
        one, rng = learner(seed), derive_rng(seed, "bandit")
        for step in range(300):
            team = ("code", "sum")[step % 2]
            choice = one.choose(RequestView("same words", 3, {"team": team}), np.ones(3, np.bool_))
            reward = float(rng.random() < chances[team][choice.model])
            one.learn(choice, score=reward, cost_usd=1e-3)
            rewards.append(reward)
    assert np.mean(rewards) > 0.55 + 0.15
