"""Scenarios of providers that fail: the chosen target errs, stalls or is rate limited, and another one answers."""

from evolving_ai.doctor.expectation import expect
from evolving_ai.doctor.model_groups import FAILING, LIMITED, STALLING, ModelGroup
from evolving_ai.doctor.scenario import Patient, Scenario
from evolving_ai.serving.replay_provider.faults import FaultKind

__all__ = ["FAILOVER_SCENARIOS"]

_RECORDED_WITHIN_S = 5.0
_FOR_EVER_S = 600.0


def _failover(patient: Patient, group: ModelGroup, kind: FaultKind, expected: str) -> str:
    """The target that answers first gets a fault; the next requests must be answered by another, after it was tried."""
    own = patient.owned()
    before = patient.gateway.chat(group.alias)
    expect(before.status == 200, f"before any fault a chat was answered {before.shown}: expected 200")
    chosen = before.header("x-evolving-target")
    seconds = _FOR_EVER_S if kind is FaultKind.STALL else 1.0
    own.order_fault(group.model_of(chosen), kind, seconds=seconds)
    try:
        ids = [_taken_over(patient, group, chosen, is_stream=is_stream) for is_stream in (False, True)]
    finally:
        own.clear_faults()
    for decision_id in ids:
        path = f"/api/v1/ai/decisions/{decision_id}"
        late = "the decision of an answered request is not known"
        patient.wait_until(
            lambda asked=path: patient.gateway.ask("GET", asked).status == 200,  # type: ignore[misc]
            _RECORDED_WITHIN_S,
            late,
        )
        first = patient.gateway.fetch("GET", path)["attempts"][0]
        expect(first["result"] == expected, f"the first attempt is told as {first['result']}: expected {expected}")
    return f"{chosen}: {expected}; another target answered, streamed and not"


def _taken_over(patient: Patient, group: ModelGroup, chosen: str, *, is_stream: bool) -> str:
    """The decision id of a request that another target than the chosen one answered."""
    answer = patient.gateway.chat(group.alias, is_stream=is_stream)
    expect(answer.status == 200, f"with {chosen} failing a chat was answered {answer.shown}: expected 200")
    attempts, target = int(answer.header("x-evolving-attempts")), answer.header("x-evolving-target")
    expect(
        target != chosen and attempts > 1, f"{target} answered at attempt {attempts}: expected another than {chosen}"
    )
    if is_stream:
        expect(answer.text.rstrip().endswith("data: [DONE]"), "the stream that was taken over is not complete")
    return answer.header("x-request-id")


def _error(patient: Patient) -> str:
    return _failover(patient, FAILING, FaultKind.ERROR, "server_error")


def _stall(patient: Patient) -> str:
    return _failover(patient, STALLING, FaultKind.STALL, "timeout")


def _rate_limit(patient: Patient) -> str:
    return _failover(patient, LIMITED, FaultKind.RATE_LIMIT, "rate_limited")


FAILOVER_SCENARIOS = (
    Scenario("failover when the target errs", _error, needs_own=True),
    Scenario("failover when the target stalls", _stall, needs_own=True),
    Scenario("failover when the target is rate limited", _rate_limit, needs_own=True),
)
