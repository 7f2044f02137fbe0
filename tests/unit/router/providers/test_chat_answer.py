"""What is read out of answers in OpenAI's format."""

from typing import Any

import orjson
import pytest

from evolving_ai.errors import UpstreamError
from evolving_ai.router.ports import Completion, StreamPart, Usage
from evolving_ai.router.providers.chat_answer import completion_of, part_of

NO_VALUE: dict[str, Any] = {}


def whole(message: Any = NO_VALUE, finish_reason: Any = "stop", **more: Any) -> bytes:
    choice = {"index": 0, "message": message or {"content": "x"}, "finish_reason": finish_reason}
    return orjson.dumps({"choices": [choice]} | more)


def event(*choices: Any, **more: Any) -> bytes:
    return orjson.dumps({"choices": list(choices)} | more)


def completion(body: bytes) -> Completion:
    return completion_of("acme/m", body, {"a": "b"}, ())


def part(data: bytes) -> StreamPart:
    return part_of("acme/m", data, None, ())


def test_an_answer_is_passed_on_as_it_came() -> None:
    body = b' {"choices" : [{"message": {"content": "x"}, "finish_reason": "length"}], "own": 1.50}'

    found = completion(body)

    assert found.body is body
    assert (found.finish_reason, found.usage, found.headers) == ("length", None, {"a": "b"})


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 1, "completion_tokens": 2}, Usage(1, 2)),
        ({"prompt_tokens": 1}, None),
        ({"prompt_tokens": -1, "completion_tokens": 2}, None),
        ({"prompt_tokens": 1.0, "completion_tokens": 2}, None),
        ({"prompt_tokens": True, "completion_tokens": 2}, None),
        ("many", None),
        (None, None),
    ],
)
def test_usage_is_believed_when_it_is_two_counts(usage: Any, expected: Usage | None) -> None:
    assert completion(whole(usage=usage)).usage == expected
    assert part(event(usage=usage)).usage == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"[]",
        b"null",
        b"{}",
        b'{"choices": []}',
        b'{"choices": {}}',
        b'{"choices": [1]}',
        b'{"choices": [{}]}',
        b'{"choices": [{"message": "x", "finish_reason": "stop"}]}',
        whole({"content": ""}, None),
        whole({"role": "assistant", "content": None}, None),
        b'{"choices": [{"message": {"content": "\xff"}}]}',
    ],
)
def test_what_is_no_answer_is_malformed(body: bytes) -> None:
    with pytest.raises(UpstreamError, match="expected a chat completion") as caught:
        completion(body)

    assert caught.value.result == "malformed"


@pytest.mark.parametrize("message", [{"content": "x"}, {"refusal": "no"}, {"tool_calls": [{}]}, {"reasoning": "hm"}])
def test_an_answer_with_content_needs_no_reason(message: dict[str, Any]) -> None:
    assert completion(whole(message, None)).finish_reason is None


def test_an_empty_answer_with_a_reason_is_one() -> None:
    assert completion(whole({"content": ""}, "content_filter")).finish_reason == "content_filter"


@pytest.mark.parametrize(
    ("body", "result"),
    [
        (b'{"error": {"message": "x", "code": 429}}', "rate_limited"),
        (b'{"error": "x", "choices": []}', "server_error"),
        (whole({"content": "x"}, "error"), "server_error"),
        (whole({"content": "x"}, 7), "server_error"),
    ],
)
def test_an_error_of_status_200_is_an_error(body: bytes, result: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        completion(body)

    assert caught.value.result == result


def test_an_empty_error_is_none() -> None:
    assert completion(whole(error=None)).finish_reason == "stop"
    assert part(event(error=None)).usage is None


@pytest.mark.parametrize(
    ("delta", "has_content"),
    [
        ({"content": "x"}, True),
        ({"refusal": "no"}, True),
        ({"tool_calls": [{"index": 0}]}, True),
        ({"function_call": {"name": "f"}}, True),
        ({"reasoning_content": "hm"}, True),
        ({"role": "assistant", "content": "", "refusal": None}, False),
        ({"role": "assistant"}, False),
        ({}, False),
        (None, False),
    ],
)
def test_content_is_anything_but_the_role(delta: Any, has_content: bool) -> None:
    assert part(event({"index": 0, "delta": delta, "finish_reason": None})).has_content is has_content


def test_content_of_any_choice_counts() -> None:
    found = part(event({"index": 0, "delta": {}, "finish_reason": "stop"}, {"index": 1, "delta": {"content": "x"}}))

    assert (found.has_content, found.finish_reason) == (True, "stop")


def test_an_event_is_passed_on_as_it_came_unless_it_had_several_lines() -> None:
    single, double = b'{"choices" : []}', b'{"choices":\n []}'

    assert part(single).data is single
    assert part(double).data == b'{"choices":[]}'


@pytest.mark.parametrize(
    ("data", "is_usage_only"),
    [
        (event(usage={"prompt_tokens": 1, "completion_tokens": 2}), True),
        (event(usage={"prompt_tokens": "?"}), True),
        (event(usage=None), False),
        (event(prompt_filter_results=[]), False),
        (event({"index": 0, "delta": {}}, usage={"prompt_tokens": 1, "completion_tokens": 2}), False),
    ],
)
def test_usage_alone_is_known(data: bytes, is_usage_only: bool) -> None:
    assert part(data).is_usage_only is is_usage_only


@pytest.mark.parametrize(
    ("data", "result"),
    [
        (b'{"error": {"code": 503}}', "server_error"),
        (event({"delta": {}, "finish_reason": "error", "error": {"code": 429}}), "rate_limited"),
        (event({"delta": {}, "finish_reason": 3}), "server_error"),
        (b"hello", "malformed"),
        (b"[]", "malformed"),
        (b'{"choices": {"a": 1}}', "malformed"),
        (event(3), "malformed"),
    ],
)
def test_an_event_that_ends_badly_says_how(data: bytes, result: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        part(data)

    assert caught.value.result == result


def test_an_event_named_error_is_one() -> None:
    with pytest.raises(UpstreamError) as caught:
        part_of("acme/m", b'{"message": "x", "type": "rate_limit_error"}', None, (), is_error=True)

    assert caught.value.result == "rate_limited"
