"""When a call may be made again: the whole table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.sdk.errors import ApiError
from evolving_ai.sdk.retries import Effect, Failure, RetryPolicy

POLICY = RetryPolicy(2)
R, COSTS, CHANGES = Effect.READS, Effect.COSTS, Effect.CHANGES


def failure(
    status: int | None, *, was_sent: bool = True, should: bool | None = None, after_s: float | None = None
) -> Failure:
    return Failure(ApiError("no", code="x", status=status, retry_after_s=after_s), was_sent, should)


@pytest.mark.parametrize(
    ("failed", "repeated_for"),
    [
        (failure(None, was_sent=False), {R, COSTS, CHANGES}),
        (failure(None), {R}),
        (failure(503), set()),
        (failure(503, after_s=1), {R, COSTS}),
        (failure(503, should=True), {R, COSTS}),
        (failure(503, should=False, after_s=1), set()),
        (failure(500, should=True), {R, COSTS}),
        (failure(500, after_s=1), set()),
        (failure(429, after_s=1), {R, COSTS, CHANGES}),
        (failure(429, should=True), {R, COSTS, CHANGES}),
        (failure(429), set()),
        (failure(429, should=True, after_s=61), set()),
        (failure(404), set()),
        (failure(200, should=True), {R, COSTS}),
    ],
)
def test_the_table_of_repetition(failed: Failure, repeated_for: set[Effect]) -> None:
    assert {effect for effect in Effect if POLICY.wait_s(failed, 0, effect) is not None} == repeated_for


def test_what_the_platform_asks_for_is_waited() -> None:
    assert POLICY.wait_s(failure(429, after_s=7.5), 1, COSTS) == 7.5


@given(st.integers(0, 50), st.integers(0, 50))
def test_waits_grow_within_bounds_and_end(max_retries: int, attempt: int) -> None:
    wait_s = RetryPolicy(max_retries).wait_s(failure(None, was_sent=False), attempt, COSTS)
    if attempt >= max_retries:
        assert wait_s is None
    else:
        longest = min(0.5 * 2.0**attempt, 8.0)
        assert wait_s is not None
        assert 0.75 * longest <= wait_s <= longest
