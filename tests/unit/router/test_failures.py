"""What a caller is told when no target answered."""

import pytest

from evolving_ai.domain.outcome import Attempt, AttemptResult
from evolving_ai.errors import UpstreamError
from evolving_ai.router.failures import explained_failure, refusal_status


def explained(*results: AttemptResult, retry_after_s: float | None = None) -> tuple[str, str, float | None]:
    attempts = [Attempt(f"p/{place}", result, None, None, 0.1, 0, 0, 0) for place, result in enumerate(results)]
    last = UpstreamError(results[-1], "scripted", retry_after_s=retry_after_s)
    error = explained_failure(attempts, last)
    return error.code, str(error), error.retry_after_s


def test_only_rate_limits_tell_when_to_ask_again() -> None:
    limited = AttemptResult.RATE_LIMITED

    assert explained(limited, limited, retry_after_s=7.0)[::2] == ("rate_limit_exceeded", 7.0)
    assert explained(limited)[::2] == ("rate_limit_exceeded", 1.0)
    assert explained(limited, AttemptResult.TIMEOUT)[0] == "all_targets_failed"


def test_timeouts_and_refused_keys_have_names_of_their_own() -> None:
    assert explained(AttemptResult.TIMEOUT, AttemptResult.TIMEOUT)[0] == "upstream_timeout"
    assert explained(AttemptResult.CREDENTIALS)[0] == "provider_refused"
    assert explained(AttemptResult.CREDENTIALS, AttemptResult.CONNECTION)[0] == "all_targets_failed"


def test_the_story_names_every_attempt_in_one_line() -> None:
    _, text, _ = explained(AttemptResult.CONNECTION, AttemptResult.SERVER_ERROR)

    assert text == "no target answered (p/0: connection; p/1: server_error); the last said: scripted"


def test_without_an_attempt_the_deadline_had_come() -> None:
    assert explained_failure([], None).code == "upstream_timeout"


@pytest.mark.parametrize(("status", "expected"), [(400, 400), (422, 422), (None, 400), (500, 400), (200, 400)])
def test_a_refusal_has_the_status_of_a_callers_mistake(status: int | None, expected: int) -> None:
    assert refusal_status(UpstreamError(AttemptResult.REFUSED, "no", status=status)) == expected
