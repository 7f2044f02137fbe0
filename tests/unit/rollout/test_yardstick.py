"""Losses from 0 to 1, and the scale that the control arm gives them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.rollout.yardstick import CostYardstick, PlainYardstick, SlowYardstick, Yardstick


def learned(yardstick: Yardstick, values: list[float]) -> Yardstick:
    for value in values:
        assert yardstick.measure(value, is_canary=False) is None
    return yardstick


@given(value=st.floats(allow_nan=False))
def test_a_plain_loss_is_cut_to_its_range(value: float) -> None:
    assert PlainYardstick().measure(value, is_canary=True) == min(max(value, 0.0), 1.0)


def test_slow_is_what_takes_longer_than_95_of_the_first_100_did() -> None:
    yardstick = learned(SlowYardstick(), [float(value) for value in range(100, 0, -1)])
    assert yardstick.measure(95.0, is_canary=True) == 0.0
    assert yardstick.measure(95.1, is_canary=True) == 1.0


def test_a_cost_is_a_share_of_ten_times_the_first_mean() -> None:
    yardstick = learned(CostYardstick(), [0.001, 0.003] * 50)
    assert yardstick.unit == pytest.approx(20.0)  # a loss of 1 is 0.02 USD, so 20 USD for 1,000 requests
    assert yardstick.measure(0.002, is_canary=True) == pytest.approx(0.1)
    assert yardstick.measure(5.0, is_canary=True) == 1.0


@pytest.mark.parametrize("yardstick", [SlowYardstick(), CostYardstick()])
def test_the_canary_gives_no_scale(yardstick: Yardstick) -> None:
    for _ in range(200):
        assert yardstick.measure(1.0, is_canary=True) is None
    assert yardstick.to_json() == []


def test_where_the_live_dna_has_cost_nothing_so_far_there_is_no_scale_yet() -> None:
    """Rule broken: with a cap of nothing every cost was a loss of 1 in both arms, and the rail was blind."""
    yardstick = learned(CostYardstick(), [0.0] * 100)
    assert (yardstick.is_settled, yardstick.measure(1e-9, is_canary=True)) == (False, None)
    yardstick.measure(1.0, is_canary=False)
    assert yardstick.is_settled


@pytest.mark.parametrize("make", [SlowYardstick, CostYardstick])
@pytest.mark.parametrize("count", [0, 40, 100])
def test_goes_on_exactly_where_it_was(make: type[SlowYardstick] | type[CostYardstick], count: int) -> None:
    before = learned(make(), [0.1 * value for value in range(1, count + 1)])
    after = make()
    after.restore(before.to_json())
    assert (after.unit, after.to_json()) == (before.unit, before.to_json())
    assert after.measure(3.3, is_canary=True) == before.measure(3.3, is_canary=True)


def test_what_is_no_burn_in_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 100 or fewer"):
        CostYardstick().restore([1.0] * 101)
    with pytest.raises(ValueError, match="expected none"):
        PlainYardstick().restore([1.0])
