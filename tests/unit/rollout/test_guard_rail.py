"""A rail's two tests: valid whatever the share does, powerful enough, and clear in people's units."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai._common.rng import derive_rng
from evolving_ai.rollout.evidence import RailName
from evolving_ai.rollout.guard_rail import GuardRail, RailBounds
from evolving_ai.rollout.yardstick import CostYardstick, PlainYardstick
from tests.unit.rollout.made_up_requests import SHARES

MARGIN = 0.1


def a_rail(name: RailName = RailName.ERRORS, threshold: float = 80.0) -> GuardRail:
    bounds = RailBounds(margin=MARGIN, proof_margin=MARGIN, proof_unit=MARGIN, prior_loss=0.5)
    return GuardRail(name, bounds, PlainYardstick(), harm_threshold=threshold, proof_threshold=threshold)


def feed(rail: GuardRail, chance: np.random.Generator, *, worse: float, count: int, shares: tuple[float, ...]) -> None:
    """`count` losses of 0 or 1; the share goes through `shares`."""
    for number in range(count):
        share = shares[number * len(shares) // count]
        is_canary = bool(chance.random() < share)
        loss = float(chance.random() < 0.3 + worse * is_canary)
        rail.observe(loss, is_canary=is_canary, share=share)


@pytest.mark.parametrize("shares", [(0.1,), (0.5,), (0.1, 0.5), (0.5, 0.05, 0.9)])
def test_at_the_margin_neither_wealth_grows_on_average(shares: tuple[float, ...]) -> None:
    chance = derive_rng(3, "margin", len(shares))
    harm, proof = [], []
    for _ in range(4000):
        rail = a_rail(threshold=1e9)
        feed(rail, chance, worse=MARGIN, count=20, shares=shares)
        harm.append(rail.harm.value)
        proof.append(rail.proof.value)
    for values in (harm, proof):
        error = float(np.std(values)) / len(values) ** 0.5
        assert error < 0.1  # or the next line says nothing
        assert float(np.mean(values)) < 1.0 + 4 * error


def test_better_candidates_make_no_harm_and_worse_ones_no_proof() -> None:
    chance = derive_rng(4, "beyond")
    good = [a_rail(threshold=1e9) for _ in range(300)]
    bad = [a_rail(threshold=1e9) for _ in range(300)]
    for rail in good:
        feed(rail, chance, worse=0.0, count=100, shares=(0.3,))
    for rail in bad:
        feed(rail, chance, worse=0.25, count=100, shares=(0.3,))
    assert np.mean([rail.harm.value for rail in good]) < 1.0 < np.mean([rail.proof.value for rail in good])
    assert np.mean([rail.proof.value for rail in bad]) < 1.0 < np.mean([rail.harm.value for rail in bad])


def test_evidence_of_a_small_share_is_kept_as_it_grows() -> None:
    chance = derive_rng(5, "grows")
    rail = a_rail()
    feed(rail, chance, worse=0.4, count=150, shares=(0.1,))
    before = rail.harm.value
    feed(rail, chance, worse=0.4, count=150, shares=(0.5,))
    assert rail.harm.value > before > 1.0
    assert rail.evidence().is_breached


@given(
    losses=st.lists(st.tuples(st.booleans(), st.sampled_from((*SHARES, 1e-3, 0.999)), st.floats(0, 1)), max_size=150)
)
def test_wealth_stays_positive_whatever_happens(losses: list[tuple[bool, float, float]]) -> None:
    rail = a_rail()
    for is_canary, share, loss in losses:
        rail.observe(loss, is_canary=is_canary, share=share)
        assert 0.0 < rail.harm.value < math.inf
        assert 0.0 < rail.proof.value < math.inf


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_says_nothing(value: float) -> None:
    rail = a_rail()
    rail.observe(value, is_canary=True, share=0.1)
    assert rail.to_json() == a_rail().to_json()


def test_quality_is_shown_as_people_know_it() -> None:
    rail = a_rail(RailName.QUALITY)
    for loss, is_canary in ((0.2, False), (0.4, False), (0.5, True)):
        rail.observe(loss, is_canary=is_canary, share=0.5)
    evidence = rail.evidence()
    assert (evidence.control.mean, evidence.canary.mean) == (pytest.approx(70.0), pytest.approx(50.0))
    assert (evidence.difference, evidence.margin, evidence.unit) == (pytest.approx(20.0), pytest.approx(10.0), "points")


def test_cost_is_shown_in_dollars_for_a_thousand_requests() -> None:
    bounds = RailBounds(margin=0.01, proof_margin=-0.02, proof_unit=0.03, prior_loss=0.1)
    rail = GuardRail(RailName.COST, bounds, CostYardstick(), harm_threshold=80.0, proof_threshold=20.0)
    assert rail.evidence().margin is None
    for _ in range(101):
        rail.observe(0.002, is_canary=False, share=0.5)
    rail.observe(0.001, is_canary=True, share=0.5)
    evidence = rail.evidence()
    assert (evidence.control.count, evidence.canary.count) == (1, 1)  # what made the yardstick is not measured by it
    assert (evidence.control.mean, evidence.canary.mean) == (pytest.approx(2.0), pytest.approx(1.0))
    assert (evidence.difference, evidence.margin, evidence.proof_margin) == (
        pytest.approx(-1.0),
        pytest.approx(0.2),
        pytest.approx(-0.4),
    )


def test_one_arm_alone_has_no_difference() -> None:
    rail = a_rail()
    rail.observe(1.0, is_canary=True, share=0.5)
    assert rail.difference is None


def test_what_was_paid_has_to_be_as_low_as_asked_for_whatever_the_capped_costs_prove() -> None:
    bounds = RailBounds(margin=0.01, proof_margin=-0.02, proof_unit=0.03, prior_loss=0.1, most_ratio=0.8)
    rail = GuardRail(RailName.COST, bounds, CostYardstick(), harm_threshold=80.0, proof_threshold=20.0)
    for _ in range(100):
        rail.observe(0.001, is_canary=False, share=0.5)
    for number in range(400):
        rail.observe(0.0002 if number % 2 else 0.001, is_canary=bool(number % 2), share=0.5)
    assert rail.is_proven
    rail.observe(1.0, is_canary=True, share=0.5)  # in the test it counts as 0.01 USD
    evidence = rail.evidence()
    assert (evidence.is_proven, evidence.proof >= evidence.proof_threshold) == (False, True)
    dear, usual = 1000 * (200 * 0.0002 + 1.0) / 201, 1.0
    assert (evidence.canary.mean, evidence.control.mean) == (pytest.approx(dear), pytest.approx(usual))
    assert evidence.difference == pytest.approx(dear - usual)
    for _ in range(2000):
        rail.observe(0.0002, is_canary=True, share=0.5)
    assert rail.is_proven  # 0.66 of the control's by now


def test_no_rail_is_proven_before_30_first_requests_of_each_arm() -> None:
    rail = a_rail(threshold=1.5)
    for _ in range(500):
        rail.observe(0.0, is_canary=False, share=0.5)
    assert (rail.proof.is_decided, rail.is_proven) == (True, False)
    for _ in range(100):
        rail.observe(0.0, is_canary=True, share=0.5, is_first=False)
    for _ in range(29):
        rail.observe(0.0, is_canary=True, share=0.5)
    assert not rail.is_proven
    rail.observe(0.0, is_canary=True, share=0.5)
    assert rail.is_proven
