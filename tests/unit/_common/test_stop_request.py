"""A wish to stop is noted, and looked at where it is safe."""

import signal

import pytest

from evolving_ai._common.interrupts import interrupts_wait
from evolving_ai._common.stop_request import StopRequest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cuts_nothing_in_two(number: signal.Signals) -> None:
    request = StopRequest()
    with request.listening():
        request.check()
        signal.raise_signal(number)
        reached = True
        with pytest.raises(KeyboardInterrupt):
            request.check()

    assert reached
    assert request.wait(0.0)


def test_signals_are_the_earlier_handlers_again_afterwards() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with StopRequest().listening():
        pass

    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_somebody_may_ask_without_a_signal() -> None:
    request = StopRequest()
    request.ask()

    with pytest.raises(KeyboardInterrupt):
        request.check()


def test_a_deferred_interrupt_comes_after_the_block() -> None:
    done = []

    def cut() -> None:
        with interrupts_wait(deferred=True):
            signal.raise_signal(signal.SIGINT)
            done.append("the rest of the block")

    with pytest.raises(KeyboardInterrupt):
        cut()
    assert done


def test_an_interrupt_that_is_not_deferred_is_dropped() -> None:
    with interrupts_wait(deferred=False):
        signal.raise_signal(signal.SIGTERM)
