"""Providers that fail: another target answers; where none can, the error says so."""

from typing import Any

import pytest

from tests.integration.installation.installed import Installed, error_of

pytestmark = [pytest.mark.ray, pytest.mark.slow]

PROMPT = "Who takes over?"
STALL_S = 0.3


def chosen_for(platform: Installed, prompt: str) -> str:
    """The model that the policy chooses."""
    return str(platform.send("POST", "/api/v1/ai/route", {"prompt": prompt}).json()["chosen"])


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "result"),
    [
        ({"kind": "error", "status": 500}, "server_error"),
        ({"kind": "stall", "seconds": STALL_S, "status": 503}, "server_error"),
        ({"kind": "rate_limit"}, "rate_limited"),
    ],
)
def test_another_target_answers_for_one_that_fails(
    platform: Installed, fault: dict[str, Any], result: str, is_stream: bool
) -> None:
    model = chosen_for(platform, PROMPT)

    with platform.faults({"model": model, **fault}):
        answer = platform.chat(PROMPT, stream=is_stream)
    platform_is_used_again = [platform.chat(PROMPT) for _ in range(4)]  # on both replicas: no breaker stays half-closed
    decision = platform.decision(answer.headers["x-request-id"])

    assert answer.status_code == 200, answer.text
    assert answer.headers["x-evolving-attempts"] == "2"
    assert answer.headers["x-evolving-target"] not in ("", f"replay/{model}")
    first, second = decision["attempts"]
    assert (first["target"], first["result"]) == (f"replay/{model}", result)
    assert (second["target"], second["result"]) == (answer.headers["x-evolving-target"], "ok")
    assert first["cost_usd"] == "0.000000"
    assert {again.status_code for again in platform_is_used_again} == {200}


@pytest.mark.parametrize(
    ("fault", "headers", "status", "code"),
    [
        ({"kind": "error", "status": 500}, {}, 502, "all_targets_failed"),
        ({"kind": "rate_limit", "seconds": 7}, {}, 429, "rate_limit_exceeded"),
        ({"kind": "stall", "seconds": 20}, {"x-evolving-deadline-ms": "400"}, 504, "upstream_timeout"),
    ],
)
def test_when_all_fail_the_error_says_how(
    platform: Installed, fault: dict[str, Any], headers: dict[str, str], status: int, code: str
) -> None:
    with platform.faults({"model": "*", **fault}):
        for is_stream in (False, True):
            answer = platform.chat(PROMPT, headers=headers, stream=is_stream)
            error = error_of(answer, status)
            assert error["code"] == code
            assert ("retry-after" in answer.headers) == (status == 429)
    assert platform.chat(PROMPT).status_code == 200
