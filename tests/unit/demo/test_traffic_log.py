"""The traffic log loses no request, and no second."""

from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.demo.traffic_log import Tally, TrafficLog

MOMENTS = st.floats(0, 30)
EVENTS = st.lists(st.tuples(MOMENTS, st.sampled_from(["a", "b", None]), st.booleans()))


@given(EVENTS)
def test_every_request_stands_in_one_second(events: list[tuple[float, str | None, bool]]) -> None:
    log = TrafficLog()
    for at_s, model, is_failed_over in events:
        if model is None:
            log.failed(at_s, "503 server_error")
        else:
            log.answered(at_s, model, is_failed_over=is_failed_over)

    seconds = log.seconds()
    failed = sum(model is None for _, model, _ in events)
    assert sum(second.failed for second in seconds) == log.tally.failed == sum(log.reasons.values()) == failed
    assert (
        sum(sum(second.answers.values()) for second in seconds) == log.tally.requests - failed == len(events) - failed
    )
    assert log.tally.failed_over == sum(model is not None and over for _, model, over in events)
    assert [second.at_s for second in seconds] == list(
        range(seconds[0].at_s, seconds[0].at_s + len(seconds)) if seconds else []
    )


def test_what_came_after_a_tally_is_told() -> None:
    log = TrafficLog()
    log.answered(0.5, "a", is_failed_over=False)
    before = log.tally
    log.answered(1.5, "b", is_failed_over=True)
    log.failed(1.6, "timeout")

    assert log.tally.since(before) == Tally(requests=2, failed=1, failed_over=1)
    assert log.answers_since(1) == {"b": 1}
    assert (log.last_answer_s("b"), log.last_answer_s("c"), log.last_s) == (1.5, None, 1.5)


def test_a_flood_of_different_reasons_is_bounded_while_all_failures_are_counted() -> None:
    log = TrafficLog()
    for number in range(1000):
        log.failed(0.0, f"reason {number}")
    log.failed(0.0, "reason 0")

    assert log.tally.failed == 1001
    assert len(log.reasons) <= 20
    assert log.first_reason() == "reason 0"
