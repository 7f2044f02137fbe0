"""Scenarios of keys and money: an empty budget refuses, a revoked key opens nothing. Done to our own platform alone:
a key that was ever made stays on the list of keys.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from evolving_ai.doctor.expectation import expect
from evolving_ai.doctor.refusal_scenarios import check_refusal
from evolving_ai.doctor.scenario import Patient, Scenario

__all__ = ["ACCESS_SCENARIOS"]

_TENANT = "doctor"
_WITHIN_S = 5.0
_IN_A_ROW = 8
"""Answers on connections of their own, so that each of a few replicas is asked."""


@contextlib.contextmanager
def _new_key(patient: Patient) -> Iterator[dict[str, Any]]:
    """A viewer's key, revoked when the block ends."""
    asked = {"tenant": _TENANT, "role": "viewer", "name": "doctor"}
    key = patient.gateway.fetch("POST", "/api/v1/keys", asked)
    try:
        yield key
    finally:
        patient.gateway.ask("DELETE", f"/api/v1/keys/{key['id']}")


def _seconds_until_refused(patient: Patient, secret: str, code: str) -> float:
    """Until every replica refuses a key so; PlatformError after the time that this may take."""

    def is_refused() -> bool:
        answers = (patient.gateway.chat(patient.model, key=secret, is_alone=True) for _ in range(_IN_A_ROW))
        return all(answer.error_code == code for answer in answers)

    seconds = patient.wait_until(is_refused, _WITHIN_S, "a key that has to be refused is not refused everywhere")
    check_refusal(patient.gateway.chat(patient.model, key=secret), code)
    return seconds


def _empty_budget(patient: Patient) -> str:
    with _new_key(patient) as key:
        scope = f"key:{key['id']}"
        patient.gateway.fetch("POST", "/api/v1/budgets", {"scope": scope, "cap_usd": "0", "window": "total"})
        try:
            seconds = _seconds_until_refused(patient, key["secret"], "budget_exceeded")
        finally:
            patient.gateway.ask("DELETE", f"/api/v1/budgets/{scope}")
    return f"refused everywhere after {seconds:.1f} s"


def _revoked_key(patient: Patient) -> str:
    with _new_key(patient) as key:
        answer = patient.gateway.chat(patient.model, key=key["secret"])
        expect(answer.status == 200, f"a new key was answered {answer.shown}: expected 200")
        revoked = patient.gateway.fetch("DELETE", f"/api/v1/keys/{key['id']}")
        expect(revoked["is_valid"] is False, "a revoked key is still called valid")
        seconds = _seconds_until_refused(patient, key["secret"], "invalid_api_key")
    return f"refused everywhere after {seconds:.1f} s"


def _wrong_role(patient: Patient) -> str:
    with _new_key(patient) as key:
        return check_refusal(patient.gateway.ask("GET", "/api/v1/keys", key=key["secret"]), "permission_denied")


ACCESS_SCENARIOS = (
    Scenario("a budget of nothing refuses", _empty_budget, needs_own=True),
    Scenario("a revoked key is refused", _revoked_key, needs_own=True),
    Scenario("a viewer may not manage keys", _wrong_role, needs_own=True),
)
