"""What providers' errors mean."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.domain.outcome import AttemptResult
from evolving_ai.errors import UpstreamError
from evolving_ai.router.providers.provider_failure import failure_of_error, failure_of_status, retry_after_s

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
KEY = "local-key-of-ours"


def failure(status: int, body: bytes = b"", **headers: str) -> UpstreamError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return failure_of_status("acme/m", status, named, body, keys=(KEY, None), now=NOW)


@given(st.integers(min_value=100, max_value=999), st.binary(max_size=40))
def test_every_status_has_a_meaning_in_one_line(status: int, body: bytes) -> None:
    found = failure(status, body)

    assert found.result in set(AttemptResult) - {AttemptResult.OK, AttemptResult.CANCELLED, AttemptResult.UNAVAILABLE}
    assert found.status == status
    assert "\n" not in str(found)
    assert (found.body is not None) == (found.result == AttemptResult.REFUSED)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "9"}, 9.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "Thu, 01 Jan 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Thu, 01 Jan 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_the_wait_is_read_in_each_form(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, NOW) == seconds


def test_a_date_says_nothing_to_who_has_no_clock() -> None:
    assert retry_after_s({"retry-after": "Thu, 01 Jan 2026 12:00:30 GMT"}, None) is None


def test_a_used_up_quota_is_a_rate_limit() -> None:
    body = orjson.dumps({"error": {"message": "pay", "type": "insufficient_quota", "code": "insufficient_quota"}})
    found = failure(429, body, retry_after="20")

    assert (found.result, found.retry_after_s) == ("rate_limited", 20.0)
    assert "insufficient_quota" in str(found)


def test_no_credit_is_not_the_callers_fault() -> None:
    assert failure(402).result == "credentials"


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"code": "invalid_api_key", "message": "x"}}',
        b'[{"error": {"code": 400, "status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}}]',
    ],
)
def test_a_bad_key_is_known_behind_status_400(body: bytes) -> None:
    assert failure(400, body).result == "credentials"


def test_a_redirect_is_no_answer() -> None:
    assert failure(307).result == "malformed"
    assert "base_url" in str(failure(307))


def test_a_refusal_shows_the_providers_error_object_without_keys() -> None:
    error = {"message": f"bad {KEY} sk-abcdefghijkl", "type": "t", "param": "p", "code": "c", "more": [KEY]}

    body = orjson.loads(failure(400, orjson.dumps({"error": error})).body or b"")

    expected = {"message": "bad [removed] [removed]", "type": "t", "param": "p", "code": "c", "more": ["[removed]"]}
    assert body == {"error": expected}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"detail": "Not Found"}', "Not Found"),
        (b'{"detail": [{"loc": ["body"], "msg": "missing"}]}', '[{"loc":["body"],"msg":"missing"}]'),
        (b'{"object": "error", "message": "too long", "code": 40303}', "too long"),
        (b'{"error": "model not found"}', "model not found"),
        (b'[{"error": {"message": "wrapped"}}]', "wrapped"),
        (b"<html>Not Found</html>", "acme/m answered with status 404"),
        (b"[]", "acme/m answered with status 404"),
        (b"3", "acme/m answered with status 404"),
        (b"", "acme/m answered with status 404"),
    ],
)
def test_a_refusal_in_any_form_becomes_openais(body: bytes, message: str) -> None:
    error = orjson.loads(failure(404, body).body or b"")["error"]

    assert error["message"] == message
    assert error.keys() >= {"message", "type", "param", "code"}


def test_words_of_the_provider_are_not_shown_to_callers_but_for_a_refusal() -> None:
    body = orjson.dumps({"error": {"message": "internal host db-7", "code": "not a word, but text"}})

    assert str(failure(500, body)) == "acme/m answered with status 500"
    assert failure(500, body).body is None


@pytest.mark.parametrize(
    ("error", "result"),
    [
        ({"message": "x"}, "server_error"),
        ("just text", "server_error"),
        ([1], "server_error"),
        ({"code": 429}, "rate_limited"),
        ({"code": 502}, "server_error"),
        ({"code": 400, "message": "x"}, "refused"),
        ({"code": True}, "server_error"),
        ({"type": "overloaded_error"}, "server_error"),
        ({"type": "rate_limit_error"}, "rate_limited"),
        ({"code": "rate_limit_exceeded", "type": "requests"}, "rate_limited"),
        ({"type": "invalid_request_error"}, "refused"),
        ({"type": "authentication_error"}, "credentials"),
    ],
)
def test_an_error_inside_an_answer_is_read_by_its_code_and_type(error: Any, result: str) -> None:
    assert failure_of_error("acme/m", error, keys=()).result == result
