"""Betting: no gain on average where there is none to be had, a quick decision where there is."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai._common.rng import derive_rng
from evolving_ai.rollout.sequential_test import HARM_BETTING, PROOF_BETTING, Betting, BettingTest

BETTINGS = (HARM_BETTING, PROOF_BETTING)
ROOM = 2.0


def a_test(betting: Betting = HARM_BETTING, threshold: float = 20.0) -> BettingTest:
    return BettingTest(betting, unit=0.05, threshold=threshold)


@pytest.mark.parametrize("betting", BETTINGS)
def test_starts_with_a_wealth_of_one(betting: Betting) -> None:
    assert sum(betting.shares) < 1.0  # the rest is the reserve
    assert a_test(betting).value == 1.0


@pytest.mark.parametrize("betting", BETTINGS)
def test_keeps_its_wealth_on_average_while_the_mean_is_at_the_bound(betting: Betting) -> None:
    chance = derive_rng(1, "fair")
    values = []
    for _ in range(3000):
        test = a_test(betting, threshold=1e9)
        for gain in chance.choice([-ROOM, ROOM], 130):
            test.bet(gain, ROOM, ROOM**2)
        values.append(test.value)
    mean, error = float(np.mean(values)), float(np.std(values)) / len(values) ** 0.5
    assert abs(mean - 1.0) < 4 * error
    assert error < 0.05  # or the line above says nothing


@pytest.mark.parametrize("betting", BETTINGS)
@given(gains=st.lists(st.floats(-ROOM, 10.0), max_size=200))
def test_never_loses_everything(betting: Betting, gains: list[float]) -> None:
    test = a_test(betting)
    for gain in gains:
        test.bet(gain, ROOM, 0.1)
        assert test.value > 0.0


def test_its_wealth_stays_positive_however_long_it_loses() -> None:
    test = a_test()
    for _ in range(100_000):
        test.bet(-ROOM, ROOM, 0.1)
    assert 0.0 < test.value < 1e-4


@pytest.mark.parametrize("betting", BETTINGS)
def test_dealing_anew_creates_and_loses_no_wealth(betting: Betting) -> None:
    test = a_test(betting)
    for gain in (-ROOM, ROOM, ROOM):
        test.bet(gain, ROOM, 1.0)
    wealth = test.value
    for _ in range(2000):
        test.bet(0.0, ROOM, 1.0)
    assert wealth != pytest.approx(1.0, rel=1e-3)
    assert test.value == pytest.approx(wealth, rel=1e-9)


def test_finds_gains_that_begin_late() -> None:
    test = a_test()
    for _ in range(5000):
        test.bet(-0.1, ROOM, 0.5)
    late = itertools.takewhile(lambda _: not test.is_decided, range(1000))
    for _ in late:
        test.bet(0.2, ROOM, 0.5)
    assert test.is_decided


def test_a_decision_stays() -> None:
    test = a_test()
    while not test.is_decided:
        test.bet(0.5, ROOM, 0.5)
    decided = test.value
    test.bet(-ROOM, ROOM, 0.5)
    assert decided >= test.threshold
    assert (test.value, test.is_decided) == (decided, True)


def test_bets_more_where_there_is_less_to_lose() -> None:
    careful, bold = a_test(), a_test()
    careful.bet(0.1, 10.0, 0.01)
    bold.bet(0.1, 0.5, 0.01)
    assert 1.0 < careful.value < bold.value


def test_bets_where_nothing_can_be_lost() -> None:
    test = a_test()
    test.bet(0.5, -0.1, 0.1)
    assert test.value > 1.0


@given(gains=st.lists(st.floats(-ROOM, 5.0), max_size=150), cut=st.integers(0, 150))
def test_goes_on_exactly_where_it_was(gains: list[float], cut: int) -> None:
    whole, first, second = a_test(), a_test(), a_test()
    for gain in gains:
        whole.bet(gain, ROOM, 0.3)
    for gain in gains[:cut]:
        first.bet(gain, ROOM, 0.3)
    second.restore(json.loads(json.dumps(first.to_json())))
    for gain in gains[cut:]:
        second.bet(gain, ROOM, 0.3)
    assert (second.to_json(), second.is_decided) == (whole.to_json(), whole.is_decided)


def test_another_tests_wealth_is_refused() -> None:
    with pytest.raises(ValueError, match="2 wealths: expected 4"):
        a_test(HARM_BETTING).restore(a_test(PROOF_BETTING).to_json())
