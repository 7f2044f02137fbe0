"""The breaker's states as a table, and what no history of attempts can do to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.domain.outcome import AttemptResult
from evolving_ai.router.breaker import Breakers, BreakerState, Evidence, TargetHealth, evidence_of

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
SUCCESS, FAILURE, CREDENTIALS, NONE = Evidence.SUCCESS, Evidence.FAILURE, Evidence.CREDENTIALS, Evidence.NONE
NOW_S = 100.0
LONGEST_PAUSE_S = 60.0
PROBE_S = 30.0

FRESH = TargetHealth()
AILING = TargetHealth(CLOSED, failures=4)
WAITING = TargetHealth(OPEN, failures=5, openings=1, until_s=NOW_S + 5)
TRYING = TargetHealth(HALF_OPEN, failures=5, openings=1, until_s=NOW_S + PROBE_S)


@pytest.mark.parametrize(
    ("health", "evidence", "expected"),
    [
        (FRESH, SUCCESS, FRESH),
        (FRESH, FAILURE, TargetHealth(CLOSED, failures=1)),
        (FRESH, CREDENTIALS, TargetHealth(OPEN, 1, 1, NOW_S + 60)),
        (FRESH, NONE, FRESH),
        (AILING, SUCCESS, FRESH),
        (AILING, FAILURE, TargetHealth(OPEN, 5, 1, NOW_S + 5)),
        (AILING, CREDENTIALS, TargetHealth(OPEN, 5, 1, NOW_S + 60)),
        (AILING, NONE, AILING),
        (WAITING, SUCCESS, FRESH),
        (WAITING, FAILURE, TargetHealth(OPEN, 6, 1, NOW_S + 5)),
        (WAITING, CREDENTIALS, TargetHealth(OPEN, 6, 2, NOW_S + 60)),
        (WAITING, NONE, WAITING),
        (TRYING, SUCCESS, FRESH),
        (TRYING, FAILURE, TargetHealth(OPEN, 6, 2, NOW_S + 10)),
        (TRYING, CREDENTIALS, TargetHealth(OPEN, 6, 2, NOW_S + 60)),
        (TRYING, NONE, TargetHealth(HALF_OPEN, 5, 1, NOW_S)),
    ],
)
def test_every_state_moves_as_the_table_says(health: TargetHealth, evidence: Evidence, expected: TargetHealth) -> None:
    assert health.after(evidence, NOW_S) == expected


@pytest.mark.parametrize(
    ("result", "evidence"),
    [
        (AttemptResult.OK, SUCCESS),
        (AttemptResult.REFUSED, SUCCESS),
        (AttemptResult.TIMEOUT, FAILURE),
        (AttemptResult.CONNECTION, FAILURE),
        (AttemptResult.RATE_LIMITED, FAILURE),
        (AttemptResult.SERVER_ERROR, FAILURE),
        (AttemptResult.MALFORMED, FAILURE),
        (AttemptResult.CREDENTIALS, CREDENTIALS),
        (AttemptResult.CANCELLED, NONE),
        (AttemptResult.UNAVAILABLE, NONE),
    ],
)
def test_every_result_is_evidence_of_something(result: AttemptResult, evidence: Evidence) -> None:
    assert evidence_of(result) is evidence


def test_no_result_was_forgotten_in_the_table() -> None:
    assert all(isinstance(evidence_of(result), Evidence) for result in AttemptResult)


def test_a_request_may_be_sent_unless_the_pause_lasts() -> None:
    assert FRESH.is_available(NOW_S)
    assert AILING.is_available(NOW_S)
    assert not WAITING.is_available(NOW_S)
    assert WAITING.is_available(NOW_S + 5)
    assert not TRYING.is_available(NOW_S + PROBE_S - 0.001)
    assert TRYING.is_available(NOW_S + PROBE_S)


def test_half_open_lets_one_request_through() -> None:
    breakers = Breakers()
    for _ in range(5):
        breakers.tell("p/m", AttemptResult.SERVER_ERROR, 0.0)
    assert not breakers.is_available("p/m", 4.9)
    assert breakers.is_available("p/m", 5.0)

    breakers.take("p/m", 5.0)

    assert breakers.health("p/m").state is HALF_OPEN
    assert not breakers.is_available("p/m", 5.0)
    breakers.tell("p/m", AttemptResult.OK, 6.0)
    assert breakers.health("p/m") == FRESH
    assert breakers.is_available("p/m", 6.0)


def test_a_probe_whose_client_left_lets_the_next_request_try() -> None:
    breakers = Breakers()
    breakers.tell("p/m", AttemptResult.CREDENTIALS, 0.0)
    breakers.take("p/m", 60.0)

    breakers.tell("p/m", AttemptResult.CANCELLED, 61.0)

    assert breakers.is_available("p/m", 61.0)


def test_pauses_double_up_to_a_limit() -> None:
    health, now_s, pauses = AILING, 0.0, []
    for _ in range(6):
        health = health.after(FAILURE, now_s)
        pauses.append(health.until_s - now_s)
        now_s = health.until_s
        health = health.taken(now_s)

    assert pauses == [5, 10, 20, 40, 60, 60]


def test_a_target_that_is_down_for_days_is_still_a_target() -> None:
    """Rule broken: transitions are pure functions that return a state; after 1,024 openings one raised instead."""
    breakers, now_s = Breakers(), 0.0
    for _ in range(1500):
        breakers.take("p/m", now_s)
        breakers.tell("p/m", AttemptResult.SERVER_ERROR, now_s)
        now_s += LONGEST_PAUSE_S
    for _ in range(1500):
        breakers.tell("p/m", AttemptResult.CREDENTIALS, now_s)
    breakers.take("p/m", now_s)
    breakers.tell("p/m", AttemptResult.SERVER_ERROR, now_s)

    assert breakers.is_available("p/m", now_s + LONGEST_PAUSE_S)


def test_targets_that_never_failed_take_no_room() -> None:
    breakers = Breakers()
    for number in range(100):
        breakers.take(f"p/{number}", 0.0)
        breakers.tell(f"p/{number}", AttemptResult.OK, 0.0)
        breakers.tell(f"p/{number}", AttemptResult.CANCELLED, 0.0)
    breakers.tell("p/0", AttemptResult.TIMEOUT, 0.0)
    breakers.tell("p/0", AttemptResult.OK, 0.0)

    assert not breakers._health


events = st.lists(
    st.tuples(st.sampled_from(["take", *AttemptResult]), st.floats(0, 100, allow_subnormal=False)), max_size=60
)


@given(events)
def test_no_breaker_stays_shut_for_ever(history: list[tuple[str, float]]) -> None:
    breakers, now_s = Breakers(), 0.0
    for event, pause_s in history:
        now_s += pause_s
        if event == "take":
            breakers.take("p/m", now_s)
        else:
            breakers.tell("p/m", AttemptResult(event), now_s)

    assert breakers.is_available("p/m", now_s + max(LONGEST_PAUSE_S, PROBE_S) + 1e-6)


@given(events)
def test_one_success_heals_whatever_happened(history: list[tuple[str, float]]) -> None:
    breakers, now_s = Breakers(), 0.0
    for event, pause_s in history:
        now_s += pause_s
        if event == "take":
            breakers.take("p/m", now_s)
        else:
            breakers.tell("p/m", AttemptResult(event), now_s)

    breakers.tell("p/m", AttemptResult.OK, now_s)

    assert breakers.health("p/m") == FRESH


@given(events)
def test_a_half_open_breaker_is_taken_by_one_of_many(history: list[tuple[str, float]]) -> None:
    breakers, now_s = Breakers(), 0.0
    for event, pause_s in history:
        now_s += pause_s
        if event != "take":
            breakers.tell("p/m", AttemptResult(event), now_s)
    if breakers.health("p/m").state is CLOSED:
        return
    now_s += LONGEST_PAUSE_S
    sent = 0
    for _ in range(5):
        if breakers.is_available("p/m", now_s):
            breakers.take("p/m", now_s)
            sent += 1

    assert sent == 1
