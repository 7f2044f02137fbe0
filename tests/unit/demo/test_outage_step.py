"""An outage of the most used model: its breakers open, it comes back, and the fault never outlives the step."""

from collections.abc import Callable

import pytest

from evolving_ai.demo.demonstration import Demonstration
from evolving_ai.demo.outage_step import break_provider
from evolving_ai.errors import PlatformError
from evolving_ai.serving.replay_provider.faults import FaultKind
from tests.doubles.demo_world import FakePlatform, demonstration

CLOSED, OPEN = {"big": "closed", "small": "closed"}, {"big": "open", "small": "closed"}
ORDERED = ("big", FaultKind.ERROR, 503)
CLEARED = ("big", None, None)


def answering(platform: FakePlatform, *, returns: bool = True) -> Callable[[Demonstration], None]:
    """Two visitors are answered in each pause: by `big`, unless it is out."""

    def visit(demo: Demonstration) -> None:
        is_out = bool(platform.faults) and (platform.faults[-1] == ORDERED or not returns)
        for _ in range(2):
            demo.traffic.log.answered(demo.traffic.now_s(), "small" if is_out else "big", is_failed_over=is_out)

    return visit


def test_the_most_used_model_fails_and_returns() -> None:
    platform = FakePlatform(breaker_states=[{"r1": OPEN, "r2": CLOSED}, {"r1": OPEN, "r2": OPEN}])
    demo = demonstration(platform, while_waiting=answering(platform))
    break_provider(demo)

    outage = demo.record.outage
    assert outage is not None
    assert platform.faults == [ORDERED, CLEARED]
    assert (outage.model, outage.failed) == ("big", 0)
    assert outage.opened_after_s == pytest.approx(0.05)
    assert outage.seconds == pytest.approx(demo.settings.outage_s)
    assert outage.failed_over > 0
    assert outage.returned_after_s == pytest.approx(0.25)
    assert [mark.label for mark in demo.record.marks] == ["outage", "return"]


def test_a_breaker_that_stays_closed_is_an_error_and_the_fault_is_cleared() -> None:
    platform = FakePlatform(breaker_states=[{"r1": CLOSED}])
    with pytest.raises(PlatformError, match="the breaker of big did not open within"):
        break_provider(demonstration(platform, while_waiting=answering(platform)))
    assert platform.faults == [ORDERED, CLEARED]


def test_a_model_that_is_not_used_again_is_an_error() -> None:
    platform = FakePlatform(breaker_states=[{"r1": OPEN}])
    with pytest.raises(PlatformError, match="big was not used again within"):
        break_provider(demonstration(platform, while_waiting=answering(platform, returns=False)))
