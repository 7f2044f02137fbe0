"""Errors keep their facts, wherever they go."""

import pickle

import pytest

from evolving_ai.errors import EvolvingAIError
from evolving_ai.sdk.errors import ApiError, RateLimitError, answered_error


def test_an_error_survives_the_way_to_another_process() -> None:
    error = answered_error(
        429,
        {"retry-after": "3", "x-request-id": "req-1"},
        {"error": {"code": "rate_limit_exceeded", "message": "slowly", "hint": "wait"}},
    )
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - made one line above

    assert type(copy) is RateLimitError
    assert vars(copy) == vars(error)
    assert str(copy) == str(error) == "slowly (wait)"
    assert copy.retry_after_s == 3


def test_all_are_caught_by_the_roots() -> None:
    assert issubclass(RateLimitError, ApiError)
    assert issubclass(ApiError, EvolvingAIError)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "Thu, 01 Jan 2026 00:00:30 GMT", "date": "Thu, 01 Jan 2026 00:00:10 GMT"}, 20.0),
        ({"retry-after": "Thu, 01 Jan 2026 00:00:30 GMT", "date": "Thu, 01 Jan 2026 00:01:00 GMT"}, 0.0),
        ({"retry-after": "Thu, 01 Jan 2026 00:00:30 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "-1"}, None),
        ({}, None),
    ],
)
def test_retry_after_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert answered_error(429, headers, None).retry_after_s == seconds
