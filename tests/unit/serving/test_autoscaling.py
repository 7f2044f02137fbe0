"""How many replicas a load asks for."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.serving.autoscaling import BUSY, IN_FLIGHT, LoadPolicy, replicas_for

loads = st.floats(min_value=0, max_value=1e6)
targets = st.floats(min_value=0.01, max_value=1e4)


def context(current: int, **metrics: dict[str, float]) -> SimpleNamespace:
    return SimpleNamespace(current_num_replicas=current, aggregated_metrics=metrics)


@given(loads, loads, targets, targets)
def test_no_replica_gets_more_than_its_target(in_flight: float, busy: float, most: float, share: float) -> None:
    count = replicas_for(in_flight, busy, target_in_flight=most, target_busy=share)

    assert count >= 1
    assert in_flight / count <= most * (1 + 1e-9)
    assert busy / count <= share * (1 + 1e-9)


@given(loads, loads, targets, targets)
def test_one_replica_fewer_would_be_too_few(in_flight: float, busy: float, most: float, share: float) -> None:
    count = replicas_for(in_flight, busy, target_in_flight=most, target_busy=share)

    if count > 1:
        assert in_flight / (count - 1) > most * (1 - 1e-9) or busy / (count - 1) > share * (1 - 1e-9)


def test_an_idle_gateway_keeps_one_replica() -> None:
    assert replicas_for(0.0, 0.0, target_in_flight=64, target_busy=0.7) == 1


@pytest.mark.parametrize(("in_flight", "busy"), [(0, 1), (1, 0), (-1, 1)])
def test_a_target_of_nothing_is_refused(in_flight: float, busy: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        replicas_for(1.0, 1.0, target_in_flight=in_flight, target_busy=busy)


def test_the_policy_sums_over_replicas() -> None:
    policy = LoadPolicy(target_in_flight=10, target_busy=0.5)

    assert policy(context(1, **{IN_FLIGHT: {"a": 12.0, "b": 15.0}, BUSY: {"a": 0.1, "b": 0.2}})) == (3, {})
    assert policy(context(1, **{IN_FLIGHT: {"a": 1.0}, BUSY: {"a": 0.9, "b": 0.9}})) == (4, {})


def test_the_policy_changes_nothing_before_there_are_measurements() -> None:
    assert LoadPolicy()(context(2)) == (2, {})
