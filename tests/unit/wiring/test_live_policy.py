"""Exploration: exact propensities, a choice that depends on the seed alone, nothing beyond what was allowed."""

import math
from collections import Counter
from functools import lru_cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolving_ai.decision.engine import DecisionEngine
from evolving_ai.decision.features import RequestView
from evolving_ai.decision.fitting import Fitter
from evolving_ai.domain.decision import Constraints
from evolving_ai.errors import DataError
from evolving_ai.wiring.live_policy import EnginePolicy, unit_draw
from tests.unit.decision.synthetic_outcomes import MODELS, genome, outcomes, prompt_of

PROMPT = prompt_of(201)
ANYTHING = Constraints()
SEEDS = 4_000

ELIGIBLE = st.sets(st.sampled_from(MODELS), min_size=1).map(frozenset)
FLOORS = st.sampled_from((0.0, 1e-3, 0.05, 0.1))


@lru_cache
def policy(floor: float) -> EnginePolicy:
    wanted = genome(
        quality__predictor="classes", cost__predictor="grouped", score__cost_weight=0.1, explore__floor=floor
    )
    return EnginePolicy(DecisionEngine(wanted, Fitter(outcomes(90)).fit(wanted.genes)), generation=3)


@lru_cache
def choices(floor: float, eligible: frozenset[str]) -> dict[str, float]:
    """Every model that some seed chooses, with the propensity that is reported for it."""
    made = [policy(floor).decide(PROMPT, Constraints(eligible=eligible), seed=seed).decision for seed in range(SEEDS)]
    found = {decision.model: decision.propensity for decision in made}
    assert all(found[decision.model] == decision.propensity for decision in made)
    return found


@given(floor=FLOORS, eligible=ELIGIBLE)
@settings(max_examples=20)
def test_the_propensities_of_all_choices_sum_to_1_and_the_others_have_the_floor(
    floor: float, eligible: frozenset[str]
) -> None:
    best = policy(0.0).decide(PROMPT, Constraints(eligible=eligible), seed=0).decision.model
    found = choices(floor, eligible)

    assert set(found) == (eligible if floor else {best})
    assert math.fsum(found.values()) == pytest.approx(1.0, abs=1e-12)
    assert all(found[model] == floor for model in found if model != best)


@pytest.mark.parametrize("floor", [0.05, 0.1])
def test_models_are_chosen_as_often_as_their_propensity_says(floor: float) -> None:
    made = [policy(floor).decide(PROMPT, ANYTHING, seed=seed).decision for seed in range(SEEDS)]
    counted = Counter(decision.model for decision in made)

    for model, propensity in choices(floor, frozenset(MODELS)).items():
        spread = math.sqrt(SEEDS * propensity * (1 - propensity))
        assert abs(counted[model] - SEEDS * propensity) < 5 * spread


def test_a_floor_of_many_models_is_capped_at_equal_shares() -> None:
    names = [f"model-{number:02d}" for number in range(20)]
    wanted = genome(explore__floor=0.1)
    fitted = Fitter(outcomes(30).with_models(names)).fit(wanted.genes)
    crowded = EnginePolicy(DecisionEngine(wanted, fitted), generation=1)

    made = [crowded.decide(PROMPT, ANYTHING, seed=seed).decision for seed in range(3_000)]

    assert {decision.model for decision in made} == {*MODELS, *names}
    assert all(decision.propensity == pytest.approx(1 / 23, abs=1e-12) for decision in made)


@given(seed=st.integers(0, 2**80), floor=FLOORS, eligible=ELIGIBLE)
def test_the_same_seed_makes_the_same_decision(seed: int, floor: float, eligible: frozenset[str]) -> None:
    constraints = Constraints(eligible=eligible)
    first = policy(floor).decide(PROMPT, constraints, seed=seed)

    assert first == policy(floor).decide(PROMPT, constraints, seed=seed)
    assert first.seed == seed
    assert first.decision.model in eligible


@given(seed=st.integers(0, 2**63 - 1))
def test_exploration_changes_the_choice_and_nothing_else(seed: int) -> None:
    explored = policy(0.1).decide(PROMPT, ANYTHING, seed=seed).decision
    greedy = policy(0.1).engine.decide(RequestView(PROMPT))

    assert explored._replace(chosen=greedy.chosen, propensity=1.0) == greedy


def test_a_model_that_breaks_a_constraint_is_not_tried() -> None:
    constraints = Constraints(max_cost_usd=5e-3)
    made = [policy(0.1).decide(PROMPT, constraints, seed=seed).decision for seed in range(500)]

    assert {decision.model for decision in made} == {"code", "math"}


def test_the_policy_says_what_it_is() -> None:
    live = policy(0.0)

    assert (live.generation, live.models) == (3, MODELS)
    assert live.dna_hash == live.engine.genome.hash
    assert live.snapshot_hash == live.engine.snapshot.hash


def test_when_nothing_is_eligible_the_error_names_the_pool() -> None:
    with pytest.raises(DataError, match="big, code, math"):
        policy(0.1).decide(PROMPT, Constraints(eligible=frozenset({"unheard-of"})), seed=1)


def test_neighbouring_seeds_give_draws_that_look_independent() -> None:
    draws = [unit_draw(seed) for seed in range(10_000)]

    assert all(0 <= draw < 1 for draw in draws)
    tenths = Counter(int(10 * draw) for draw in draws)
    assert all(abs(tenths[tenth] - 1_000) < 150 for tenth in range(10))
    both = sum(a < 0.5 and b < 0.5 for a, b in pairwise(draws))
    assert abs(both - 2_500) < 250
