"""Errors as each dialect says them, for every code that there is."""

import asyncio

import pytest

from evolving_ai.domain.problem import PROBLEMS
from evolving_ai.errors import RequestError
from evolving_ai.serving.gateway.messages import HttpRequest, problem_headers
from evolving_ai.serving.gateway.problems import openai_error, own_error, send_problem
from tests.doubles.asgi_exchange import AsgiExchange, HttpAnswer


def sent(error: RequestError, path: str) -> HttpAnswer:
    exchange = AsgiExchange()
    asyncio.run(send_problem(exchange.send, error, path=path, request_id="req-1"))
    assert exchange.is_complete
    return exchange.answer


@pytest.mark.parametrize("code", PROBLEMS)
def test_every_problem_is_said_in_both_dialects(code: str) -> None:
    error = RequestError(code, "what was found", hint="what to do", param="field", retry_after_s=1.5)

    openai, own = sent(error, "/v1/chat/completions"), sent(error, "/api/v1/ai/chat")

    assert openai.json == {
        "error": {
            "message": "what was found (what to do)",
            "type": PROBLEMS[code].openai_type,
            "param": "field",
            "code": code,
        }
    }
    assert own.json == {
        "error": {"code": code, "message": "what was found", "hint": "what to do", "request_id": "req-1"}
    }
    for answer in (openai, own):
        assert answer.status == PROBLEMS[code].status
        assert answer.headers["x-should-retry"] == ("true" if PROBLEMS[code].is_retryable else "false")
        assert (answer.headers["retry-after"], answer.headers["retry-after-ms"]) == ("2", "1500")
        assert answer.headers["x-request-id"] == "req-1"
        assert ("www-authenticate" in answer.headers) == (answer.status == 401)


def test_what_is_not_known_is_null_and_never_missing() -> None:
    error = RequestError("not_found", "nothing here")

    assert openai_error(error)["error"]["param"] is None
    assert own_error(error, None)["error"] == {
        "code": "not_found",
        "message": "nothing here",
        "hint": None,
        "request_id": None,
    }


@pytest.mark.parametrize(
    ("wait_s", "seconds", "milliseconds"),
    [(0.0, b"1", b"1"), (0.0004, b"1", b"1"), (1.0, b"1", b"1000"), (1.0001, b"2", b"1001"), (60.0, b"60", b"60000")],
)
def test_nobody_is_told_to_come_back_too_early_or_a_second_too_late(
    wait_s: float, seconds: bytes, milliseconds: bytes
) -> None:
    """Rule broken: `retry-after` is whole seconds, rounded up; a wait of exactly one second was said to be two."""
    headers = dict(problem_headers(RequestError("rate_limit_exceeded", "wait", retry_after_s=wait_s)))

    assert (headers[b"retry-after"], headers[b"retry-after-ms"]) == (seconds, milliseconds)


def test_a_connection_whose_body_was_not_read_is_closed() -> None:
    for code in PROBLEMS:
        headers = dict(problem_headers(RequestError(code, "no")))
        assert (headers.get(b"connection") == b"close") == (code in ("body_too_large", "client_closed"))


@pytest.mark.parametrize(
    ("value", "length"),
    [
        (b"12", 12),
        (b"0", 0),
        (b"-1", None),
        (b"", None),
        (b"1.5", None),
        (b"1e3", None),
        (b"+5", None),
        ("²".encode(), None),
    ],
)
def test_a_length_that_is_no_number_is_no_length(value: bytes, length: int | None) -> None:
    assert head((b"content-length", value)).content_length == length


def test_a_length_of_thousands_of_digits_is_still_a_length() -> None:
    """Rule broken: any bytes of a head will do; more digits than int reads ended in a traceback."""
    assert (head((b"content-length", b"9" * 5000)).content_length or 0) > 10**17


def test_extras_are_the_headers_of_our_own_without_their_prefix() -> None:
    assert head().extras is None
    assert head((b"x-evolving-tags", b"a\xff"), (b"x-other", b"b")).extras == {"tags": "a\xff"}


def head(*headers: tuple[bytes, bytes]) -> HttpRequest:
    return HttpRequest.of({"method": "POST", "path": "/", "headers": list(headers)})
