"""Scenarios of violence: processes of the platform are killed with -9 under a small load, and providers fail at random.

What may be lost is stated: requests that were with a killed replica, and no others. The replay providers are not
killed: nothing starts them again but `up`.
"""

from collections.abc import Callable, Sequence

from evolving_ai._common.rng import derive_rng
from evolving_ai.doctor.expectation import expect
from evolving_ai.doctor.load import WORKERS, Sent, failures, running_load
from evolving_ai.doctor.model_groups import STORMY
from evolving_ai.doctor.scenario import Patient, Scenario
from evolving_ai.errors import PlatformError
from evolving_ai.serving.replay_provider.faults import FaultKind

__all__ = ["chaos_scenarios", "kill_verdict"]

_LATE_S = 1.0
_WHOLE_WITHIN_S = 60.0
_HOLDER_WITHIN_S = 10.0
_WATCH_S = 1.0
_STORM_ROUNDS = 8
_STORM_REQUESTS = 6
_SLOW_S = 0.3
_STALL_S = 60.0


def kill_verdict(sent: Sequence[Sent], killed_s: float, whole_s: float, *, may_fail: int) -> str:
    """A line about a kill at `killed_s`; PlatformError when more than `may_fail` requests failed, or later ones."""
    failed = failures(sent)
    count = f"{len(failed)} of {len(sent)} requests failed"
    first = f", the first: {failed[0].problem}" if failed else ""
    expect(bool(sent), "no request was sent meanwhile")
    expect(len(failed) <= may_fail, f"{count}, expected at most {may_fail}{first}")
    late = [one for one in failed if one.at_s > killed_s + _LATE_S]
    expect(not late, f"{len(late)} requests failed that began later than {_LATE_S:g} s after{first}")
    return f"{count}, whole again after {whole_s:.1f} s"


def _killed(patient: Patient, part: str, *, may_fail: int, within_s: float = _WHOLE_WITHIN_S) -> str:
    own = patient.owned()
    before = own.processes(part)
    expect(bool(before), f"no process of {part} runs")
    victim = min(before)

    def is_whole() -> bool:
        now = own.processes(part)
        return victim not in now and len(now) >= len(before) and _is_well(patient)

    with running_load(patient.gateway, patient.model, patient.clock) as load:
        patient.pause(_WATCH_S)
        killed_s = patient.clock.monotonic_s()
        own.kill(victim)
        whole_s = patient.wait_until(is_whole, within_s, f"{part} was not replaced")
        patient.pause(_WATCH_S)
    return kill_verdict(load.sent, killed_s, whole_s, may_fail=may_fail)


def _is_well(patient: Patient) -> bool:
    """Whether the replica that happens to be asked is well, and control answers."""
    try:
        health = patient.gateway.ask("GET", "/api/v1/system/health", is_alone=True)
        live = patient.gateway.ask("GET", "/api/v1/dna/live", is_alone=True)
    except PlatformError:  # it was with the process that was killed
        return False
    return health.status == live.status == 200 and health.document()["status"] == "ok"


def _killed_replica(patient: Patient) -> str:
    return _killed(patient, "gateway", may_fail=WORKERS)


def _killed_control(patient: Patient) -> str:
    return _killed(patient, "control", may_fail=0)


def _killed_learner(patient: Patient) -> str:
    return _killed(patient, "decision", may_fail=0)


def _killed_holder(patient: Patient) -> str:
    return _killed(patient, "listener", may_fail=0, within_s=_HOLDER_WITHIN_S)


def _storm(seed: int) -> Callable[[Patient], str]:
    """Faults at random in all models but one: every request must still be answered."""

    def run(patient: Patient) -> str:
        own, rng = patient.owned(), derive_rng(seed, "doctor", "storm")
        kinds = [kind for kind in FaultKind if kind is not FaultKind.WRONG]  # a wrong answer is an answer
        answered = 0
        try:
            for _ in range(_STORM_ROUNDS):
                healthy = int(rng.integers(len(STORMY.models)))
                for place, model in enumerate(STORMY.models):
                    kind, share = kinds[int(rng.integers(len(kinds)))], 0.5 + 0.5 * float(rng.random())
                    if place != healthy:
                        seconds = _STALL_S if kind is FaultKind.STALL else _SLOW_S
                        own.order_fault(model, kind, seconds=seconds, share=share)
                for number in range(_STORM_REQUESTS):
                    patient.pause(0.0)
                    answer = patient.gateway.chat(STORMY.alias, is_stream=number % 2 == 1, is_alone=True)
                    expect(answer.status == 200, f"after {answered} answers one was {answer.shown}: expected 200")
                    answered += 1
                own.clear_faults()
        finally:
            own.clear_faults()
        return f"{answered} of {answered} requests answered under random faults (seed {seed})"

    return run


def chaos_scenarios(seed: int) -> tuple[Scenario, ...]:
    """The scenarios; `seed` draws the faults of the storm."""
    return (
        Scenario("a gateway replica is killed", _killed_replica, needs_own=True),
        Scenario("control is killed", _killed_control, needs_own=True),
        Scenario("the learner is killed", _killed_learner, needs_own=True),
        Scenario("the holder of the socket is killed", _killed_holder, needs_own=True),
        Scenario("providers fail at random", _storm(seed), needs_own=True),
    )
