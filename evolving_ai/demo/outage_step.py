"""Step 6: the provider of the model that answers most fails for some seconds, and no visitor notices."""

from evolving_ai.demo.demonstration import Demonstration
from evolving_ai.demo.record import OutageFigures
from evolving_ai.router.breaker import BreakerState
from evolving_ai.serving.replay_provider.faults import FaultKind

__all__ = ["break_provider"]

_SETTLED_S = 3.0
_LOOKS = 4
_DRAINED_WITHIN_S = 30.0
_UNAVAILABLE = 503


def break_provider(demo: Demonstration) -> None:
    """Fill `record.outage`. PlatformError when the breaker does not open, or the provider does not come back."""
    demo.traffic.set_rate(demo.settings.outage_rate)
    model = _most_used(demo)
    before, began_s = demo.traffic.log.tally, demo.clock.monotonic_s()
    demo.mark("outage")
    with demo.faulty(model, FaultKind.ERROR, status=_UNAVAILABLE):
        opened_s = _opened(demo, model, began_s)
        demo.teller.tell(f"{model} answers {_UNAVAILABLE}: every breaker is open after {opened_s:.1f} s")
        demo.pause(max(0.0, demo.settings.outage_s - (demo.clock.monotonic_s() - began_s)))
    lasted_s, cleared_s = demo.clock.monotonic_s() - began_s, demo.traffic.now_s()
    demo.teller.show(f"{model} answers again: waiting until it is used")
    returned_s = demo.wait_until(
        lambda: (demo.traffic.log.last_answer_s(model) or 0.0) > cleared_s,
        demo.settings.return_within_s,
        f"{model} was not used again",
    )
    demo.mark("return")
    sent = demo.traffic.log.tally.since(before)
    demo.record.outage = OutageFigures(
        model, lasted_s, sent.requests, sent.failed, sent.failed_over, opened_s, returned_s
    )
    demo.teller.tell(
        f"{lasted_s:.1f} s of outage: {sent.requests:,} requests, {sent.failed_over:,} answered by another model at "
        f"the second attempt, {sent.failed} failed; used again {returned_s:.1f} s after its return"
    )


def _most_used(demo: Demonstration) -> str:
    """The model that answers most now; what was live before has been answered meanwhile."""
    demo.pause(_SETTLED_S)
    answers = demo.traffic.log.answers_since(int(demo.traffic.now_s() - _SETTLED_S / 2))
    demo.wait_until(
        lambda: bool(answers or demo.traffic.log.answers_since(0)), _DRAINED_WITHIN_S, "no request was answered"
    )
    return (answers or demo.traffic.log.answers_since(0)).most_common(1)[0][0]


def _opened(demo: Demonstration, model: str, began_s: float) -> float:
    """Seconds until the breaker is open on every replica that answers."""

    def is_open() -> bool:
        return all(states[model] != BreakerState.CLOSED for states in demo.platform.breakers(_LOOKS).values())

    demo.wait_until(is_open, demo.settings.outage_s, f"the breaker of {model} did not open", every_s=0.05)
    return demo.clock.monotonic_s() - began_s
