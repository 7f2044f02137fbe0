"""How busy a thread is."""

from evolving_ai._common.busyness import Busyness
from evolving_ai._common.clock import ManualClock


def test_a_thread_that_waits_is_not_busy() -> None:
    clock = ManualClock()
    busyness = Busyness(clock)
    clock.advance(1000.0)

    assert 0.0 <= busyness.share() < 0.01


def test_a_thread_that_computes_all_the_time_is_busy() -> None:
    clock = ManualClock()
    busyness = Busyness(clock)
    sum(range(200_000))
    clock.advance(1e-6)

    assert busyness.share() == 1.0


def test_no_time_is_no_share() -> None:
    assert Busyness(ManualClock()).share() == 0.0
