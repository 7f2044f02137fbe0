"""Scenarios of bad input: each is refused with the right status, in the form of the dialect, without a traceback."""

from collections.abc import Mapping
from typing import Any

from evolving_ai.doctor.expectation import expect
from evolving_ai.doctor.gateway import CHAT_PATH, Answer, chat_body
from evolving_ai.doctor.scenario import Patient, Scenario
from evolving_ai.domain.problem import PROBLEMS

__all__ = ["REFUSAL_SCENARIOS", "check_refusal"]

_WRONG_KEY = "evai_key-0000000000_" + "x" * 43
_UNKNOWN_MODEL = "no-such-model-of-the-doctor"
_TOO_MUCH_BYTES = 32 * 2**20
"""Four times what a gateway accepts unless it was told otherwise."""


def check_refusal(answer: Answer, code: str) -> str:
    """A line about a refusal with `code`; PlatformError when the answer is another one, or leaks a traceback."""
    status = PROBLEMS[code].status
    found = answer.error_code
    expect((answer.status, found) == (status, code), f"it was answered {answer.shown}: expected {status} {code}")
    expect("Traceback" not in answer.text, "the refusal shows a traceback")
    return f"{status} {code}"


def _posted(patient: Patient, body: Mapping[str, Any] | bytes) -> Answer:
    return patient.gateway.ask("POST", CHAT_PATH, body)


def _no_key(patient: Patient) -> str:
    return check_refusal(patient.gateway.chat(patient.model, key=""), "missing_api_key")


def _wrong_key(patient: Patient) -> str:
    return check_refusal(patient.gateway.chat(patient.model, key=_WRONG_KEY), "invalid_api_key")


def _unknown_model(patient: Patient) -> str:
    return check_refusal(_posted(patient, chat_body(_UNKNOWN_MODEL)), "model_not_found")


def _malformed(patient: Patient) -> str:
    return check_refusal(_posted(patient, b'{"model": "auto", "messages": ['), "invalid_json")


def _no_messages(patient: Patient) -> str:
    return check_refusal(_posted(patient, {"model": patient.model}), "invalid_request")


def _too_large(patient: Patient) -> str:
    return check_refusal(_posted(patient, b" " * _TOO_MUCH_BYTES), "body_too_large")


def _foreign_decision(patient: Patient) -> str:
    answer = patient.gateway.ask("GET", "/api/v1/ai/decisions/req-00000000000000000000000")
    return check_refusal(answer, "decision_not_found")


REFUSAL_SCENARIOS = (
    Scenario("no key is refused", _no_key),
    Scenario("a wrong key is refused", _wrong_key),
    Scenario("an unknown model is refused", _unknown_model),
    Scenario("malformed JSON is refused", _malformed),
    Scenario("a chat without messages is refused", _no_messages),
    Scenario("a body of 32 MiB is refused", _too_large),
    Scenario("a decision that is not ours is refused", _foreign_decision),
)
