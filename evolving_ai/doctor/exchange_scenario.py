"""The scenario of a live exchange: other DNA is promoted and rolled back under load, and no request notices."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from evolving_ai.doctor.expectation import expect
from evolving_ai.doctor.load import Sent, failures, running_load
from evolving_ai.doctor.scenario import Patient, Scenario

__all__ = ["EXCHANGE_SCENARIOS", "Exchanged", "exchange_verdict"]

_WITHIN_S = 1.0
_WATCH_S = 2.0
_LOOK_EVERY_S = 0.2
_SHORT = 12

Version = tuple[str, str]


class Exchanged:
    """What was live, and when: `moments` are (monotonic seconds of the answer, DNA that is live from then on)."""

    def __init__(self) -> None:
        self.versions: set[Version] = set()
        self.moments: list[tuple[float, str]] = []


def exchange_verdict(sent: Sequence[Sent], moments: Sequence[tuple[float, str]], versions: AbstractSet[Version]) -> str:
    """A line about the exchanges; PlatformError when a request failed, saw DNA that had been exchanged more than a
    second ago, or saw DNA and snapshot that were never live together.
    """
    failed = failures(sent)
    expect(
        not failed, f"{len(failed)} of {len(sent)} requests failed, the first: {failed[0].problem if failed else ''}"
    )
    mixed = [one.version for one in sent if one.version not in versions]
    expect(not mixed, f"{len(mixed)} of {len(sent)} requests saw DNA and snapshot that were never live together")
    slowest_s = 0.0
    for number, (moment_s, dna) in enumerate(moments):
        until_s = moments[number + 1][0] - _WITHIN_S if number + 1 < len(moments) else float("inf")
        after = [one for one in sent if moment_s < one.at_s < until_s and one.version is not None]
        expect(any(one.version and one.version[0] == dna for one in after), f"no request saw DNA {dna}, which was live")
        late = [one.at_s - moment_s for one in after if one.version and one.version[0] != dna]
        slowest_s = max([slowest_s, *late])
    expect(slowest_s <= _WITHIN_S, f"a request saw the former DNA {slowest_s:.1f} s after an exchange: expected 1 s")
    return (
        f"{len(moments)} exchanges, 0 of {len(sent)} requests failed, the last with former DNA after {slowest_s:.2f} s"
    )


def _exchange(patient: Patient) -> str:
    other = patient.owned().other_dna()
    done = Exchanged()
    with running_load(patient.gateway, patient.model, patient.clock) as load:
        _watch(patient, done, 0.5)
        for path, body in (("promote", {"ref": other}), ("rollback", {})):
            answer = patient.gateway.fetch("POST", f"/api/v1/dna/{path}", {**body, "reason": "doctor"})
            done.moments.append((patient.clock.monotonic_s(), answer["dna_hash"][:_SHORT]))
            done.versions.add((answer["dna_hash"][:_SHORT], answer["snapshot_hash"][:_SHORT]))
            _watch(patient, done, _WATCH_S)
    return exchange_verdict(load.sent, done.moments, done.versions)


def _watch(patient: Patient, done: Exchanged, seconds: float) -> None:
    """Note what is live for a while: the learner may fit another snapshot at any time."""
    until_s = patient.clock.monotonic_s() + seconds
    while patient.clock.monotonic_s() < until_s:
        live = patient.gateway.fetch("GET", "/api/v1/dna/live")
        done.versions.add((live["dna_hash"][:_SHORT], live["snapshot_hash"][:_SHORT]))
        patient.pause(_LOOK_EVERY_S)


EXCHANGE_SCENARIOS = (Scenario("DNA is exchanged under load", _exchange, needs_own=True),)
