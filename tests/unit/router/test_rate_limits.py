"""Limits per key: how many requests a minute and at once, on one replica and on all together."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai._common.clock import ManualClock
from evolving_ai.router.rate_limits import RateLimits


def snapshot(**limits: tuple[int | None, int | None]) -> Mapping[str, Any]:
    keys = [
        {"key_id": key_id, "requests_per_minute": per_minute, "max_concurrent": at_once}
        for key_id, (per_minute, at_once) in limits.items()
    ]
    return {"version": 1, "keys": keys}


def limiter(clock: ManualClock, replicas: int = 1, **limits: tuple[int | None, int | None]) -> RateLimits:
    made = RateLimits(clock)
    made.share(replicas)
    made.update(snapshot(**limits))
    return made


def burst(limits: RateLimits, count: int, key_id: str = "k") -> int:
    """How many of `count` requests, each over at once, are admitted."""
    admitted = 0
    for _ in range(count):
        if limits.admit(key_id) is None:
            admitted += 1
            limits.leave(key_id)
    return admitted


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_a_key_without_limits_is_never_refused(clock: ManualClock) -> None:
    limits = limiter(clock, other=(1, 1))

    assert all(limits.admit("k") is None for _ in range(1000))


def test_a_minutes_worth_may_come_at_once_and_then_at_an_even_pace(clock: ManualClock) -> None:
    limits = limiter(clock, k=(6, None))

    assert burst(limits, 20) == 6
    assert limits.admit("k") == pytest.approx(10)
    clock.advance(9.9)
    assert limits.admit("k") == pytest.approx(0.1)
    clock.advance(0.11)
    assert burst(limits, 5) == 1
    clock.advance(600)
    assert burst(limits, 20) == 6


def test_asking_in_vain_costs_nothing(clock: ManualClock) -> None:
    limits = limiter(clock, k=(6, None))
    burst(limits, 6)
    burst(limits, 1000)

    clock.advance(10.01)

    assert limits.admit("k") is None


def test_waiting_as_told_is_enough(clock: ManualClock) -> None:
    limits = limiter(clock, k=(7, None))
    burst(limits, 7)

    for _ in range(20):
        wait_s = limits.admit("k")
        assert wait_s is not None
        clock.advance(wait_s + 1e-9)
        assert burst(limits, 1) == 1


def test_requests_at_once_are_counted_until_they_leave(clock: ManualClock) -> None:
    limits = limiter(clock, k=(None, 2))

    assert limits.admit("k") is None
    assert limits.admit("k") is None
    assert limits.admit("k") == 1.0
    limits.leave("k")
    assert limits.admit("k") is None
    assert limits.admit("k") is not None


def test_a_request_refused_for_the_one_limit_uses_nothing_of_the_other(clock: ManualClock) -> None:
    limits = limiter(clock, k=(2, 1))
    assert limits.admit("k") is None
    for _ in range(5):
        assert limits.admit("k") is not None
    limits.leave("k")

    assert limits.admit("k") is None
    limits.leave("k")
    assert limits.admit("k") is not None
    clock.advance(30.1)
    assert limits.admit("k") is None


def test_keys_do_not_disturb_each_other(clock: ManualClock) -> None:
    limits = limiter(clock, a=(3, 1), b=(3, 1))
    assert limits.admit("a") is None

    assert burst(limits, 5, "b") == 3


def test_replicas_share_a_limit_and_never_exceed_it(clock: ManualClock) -> None:
    replicas = [limiter(clock, 3, k=(10, 7)) for _ in range(3)]

    assert sum(burst(limits, 100) for limits in replicas) <= 10
    clock.advance(3600)
    in_flight = sum(limits.admit("k") is None for limits in replicas for _ in range(10))
    assert in_flight == 6


def test_a_limit_smaller_than_the_number_of_replicas_holds_in_the_long_run(clock: ManualClock) -> None:
    replicas = [limiter(clock, 4, k=(2, 1)) for _ in range(4)]

    admitted = 0
    for _ in range(600):
        admitted += sum(burst(limits, 1) for limits in replicas)
        clock.advance(1)

    assert admitted <= 2 * 10 + 4
    assert sum(limits.admit("k") is None for limits in replicas) == 4


def test_changing_limits_or_replicas_gives_nobody_a_fresh_start(clock: ManualClock) -> None:
    limits = limiter(clock, k=(60, None), other=(5, None))
    assert burst(limits, 100) == 60

    for change in (lambda: limits.share(2), lambda: limits.share(1), lambda: limits.update(snapshot(k=(120, None)))):
        change()
        assert burst(limits, 100) == 0
    clock.advance(30)

    assert burst(limits, 100) == 60


def test_a_limit_that_was_lifted_no_longer_holds_and_leaves_nothing_behind(clock: ManualClock) -> None:
    limits = limiter(clock, k=(1, 1))
    assert limits.admit("k") is None
    assert limits.admit("k") is not None

    limits.update(snapshot())

    assert burst(limits, 50) == 50


def test_a_raised_limit_is_not_held_up_by_what_the_low_one_counted(clock: ManualClock) -> None:
    limits = limiter(clock, 10, k=(1, None))
    assert burst(limits, 3) == 1

    limits.update(snapshot(k=(600, None)))

    assert limits.admit("k") == pytest.approx(1.0)


def test_requests_from_before_a_limit_are_counted_against_it(clock: ManualClock) -> None:
    limits = limiter(clock)
    assert limits.admit("k") is None
    assert limits.admit("k") is None

    limits.update(snapshot(k=(None, 2)))

    assert limits.admit("k") is not None
    limits.leave("k")
    assert limits.admit("k") is None


def test_leaving_once_too_often_gives_no_room(clock: ManualClock) -> None:
    limits = limiter(clock, k=(None, 1))
    limits.leave("k")
    limits.leave("k")

    assert limits.admit("k") is None
    assert limits.admit("k") is not None


@given(
    per_minute=st.integers(1, 300),
    replicas=st.integers(1, 5),
    steps=st.lists(st.tuples(st.floats(0, 40), st.integers(0, 200)), max_size=20),
)
def test_in_any_stretch_of_time_no_more_is_admitted_than_the_limit_says(
    per_minute: int, replicas: int, steps: list[tuple[float, int]]
) -> None:
    clock = ManualClock()
    limits = limiter(clock, replicas, k=(per_minute, None))
    share = per_minute / replicas
    times: list[float] = []
    for pause_s, count in steps:
        clock.advance(pause_s)
        times += [clock.monotonic_s()] * burst(limits, count)

    for first, start in enumerate(times):
        for last in range(first, len(times)):
            span_s = times[last] - start
            assert last - first + 1 <= max(1.0, share) + share * span_s / 60 + 1e-6


@given(at_once=st.integers(1, 5), moves=st.lists(st.booleans(), max_size=60))
def test_at_any_time_no_more_are_under_way_than_the_limit_says(at_once: int, moves: list[bool]) -> None:
    limits = limiter(ManualClock(), k=(None, at_once))
    under_way = 0
    for is_arrival in moves:
        if is_arrival:
            is_admitted = limits.admit("k") is None
            assert is_admitted == (under_way < at_once)
            under_way += is_admitted
        elif under_way:
            limits.leave("k")
            under_way -= 1
