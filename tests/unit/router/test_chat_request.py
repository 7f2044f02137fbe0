"""Reading a chat completion, and what it may cost at most."""

import hashlib
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.errors import RequestError
from evolving_ai.router.chat_request import (
    ChatRequest,
    Demands,
    last_user_text,
    prompt_hash,
    read_chat_body,
    worst_case_tokens,
)
from tests.doubles.gateway_fakes import VIEWER

HELLO = [{"role": "user", "content": "hello"}]


def refusal(raw: bytes | dict[str, Any]) -> RequestError:
    with pytest.raises(RequestError) as caught:
        read_chat_body(raw if isinstance(raw, bytes) else orjson.dumps(raw))
    return caught.value


def request_of(body: dict[str, Any], input_bytes: int | None = None) -> ChatRequest:
    size = len(orjson.dumps(body)) if input_bytes is None else input_bytes
    return ChatRequest("req-1", 0, VIEWER, body, size, 0.0, Demands())


def test_what_only_the_provider_can_judge_is_kept() -> None:
    body = {
        "model": "auto",
        "messages": [*HELLO, {"role": "assistant", "tool_calls": [{"id": "1"}], "content": None}],
        "temperature": "hot",
        "unknown": {"a": [None, 1.5]},
        "stream_options": 7,
        "n": 2,
        "max_tokens": 5,
        "stream": True,
    }

    assert read_chat_body(orjson.dumps(body)) == body


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b'{"model":"auto","messages":[{"role":"user","content":"hel',
        b'{"model": NaN}',
        b'{"model": Infinity}',
        b"{'model': 'auto'}",
        b'{"model":"auto",}',
        b"\xff\xfe{}",
        b'{"model":"\xff"}',
        b'{"model":"\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 2000 + b"1" + b"}" * 2000,
        b"\x1f\x8b\x08",
        b'{"model":"auto"} {"model":"auto"}',
    ],
)
def test_what_is_not_json_is_called_so(raw: bytes) -> None:
    error = refusal(raw)

    assert error.code == "invalid_json"
    assert "\n" not in str(error)


@pytest.mark.parametrize("raw", [b"null", b"1", b'"text"', b"[]", b"true", b'[{"model":"auto"}]'])
def test_json_that_is_no_object_is_refused(raw: bytes) -> None:
    assert refusal(raw).code == "invalid_request"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", None),
        ("model", ""),
        ("model", 5),
        ("model", ["auto"]),
        ("messages", None),
        ("messages", []),
        ("messages", "hello"),
        ("messages", {}),
        ("messages", ["hello"]),
        ("messages", [{}]),
        ("messages", [{"role": 1, "content": "hello"}]),
        ("messages", [{"role": "user", "content": 5}]),
        ("messages", [{"role": "user", "content": {"text": "hello"}}]),
        ("stream", "yes"),
        ("stream", 1),
        ("stream", 0),
        ("stream", []),
        ("max_tokens", 0),
        ("max_tokens", -5),
        ("max_tokens", 1.5),
        ("max_tokens", True),
        ("max_tokens", "10"),
        ("max_completion_tokens", 0),
        ("max_completion_tokens", 10**30),
        ("n", 0),
        ("n", 129),
        ("n", False),
    ],
)
def test_a_field_of_the_wrong_kind_is_named(field: str, value: Any) -> None:
    body = {"model": "auto", "messages": HELLO, field: value}
    raw = (
        orjson.dumps(body)
        if value != 10**30
        else b'{"model":"auto","messages":[{"role":"user"}],"%s":1%s}'
        % (
            field.encode(),
            b"0" * 30,
        )
    )

    error = refusal(raw)

    assert (error.code, error.param) == ("invalid_request", field)
    assert str(error).startswith(field)


def test_a_message_shows_little_of_what_was_sent() -> None:
    assert len(str(refusal({"model": "auto", "messages": "secret" * 10_000}))) < 200
    assert "secret" not in str(refusal({"model": ["secret"], "messages": HELLO}))
    assert len(str(refusal({"model": "auto", "messages": HELLO, "max_tokens": "9" * 10_000}))) < 200


@pytest.mark.parametrize("depth", [201, 254, 300, 900, 1020])
@pytest.mark.parametrize("field", ["model", "messages", "extra"])
def test_what_is_nested_too_deeply_to_be_sent_on_is_refused(field: str, depth: int) -> None:
    """Rule broken: a malformed body is the caller's mistake; reading went deeper than writing and showing can."""
    rest = b"" if field == "model" else b'"model":"auto",'
    rest += b"" if field == "messages" else b'"messages":[{"role":"user","content":"hello"}],'
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        raw = b"{" + rest + b'"%s":' % field.encode() + opening * depth + b"1" + closing * depth + b"}"

        assert refusal(raw).code in ("invalid_request", "invalid_json")


@given(st.integers(0, 400), st.booleans())
def test_what_was_read_can_be_written(depth: int, in_objects: bool) -> None:
    opening, closing = (b'{"a":', b"}") if in_objects else (b"[", b"]")
    raw = b'{"model":"auto","messages":[{"role":"user"}],"x":' + opening * depth + b"1" + closing * depth + b"}"

    try:
        body = read_chat_body(raw)
    except RequestError:
        assert depth >= 200
        return

    assert orjson.loads(orjson.dumps({**body, "stream_options": {"include_usage": True}}))["x"] == body["x"]


def test_many_brackets_beside_each_other_are_not_deep() -> None:
    body = {"model": "auto", "messages": HELLO * 500, "x": [[], {}] * 500, "y": "[[{{" * 500}

    assert read_chat_body(orjson.dumps(body)) == body


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=15,
)
chat_bodies = st.fixed_dictionaries(
    {},
    optional={
        name: json_values | st.sampled_from(likely)
        for name, likely in {
            "model": ["auto", "one"],
            "messages": [HELLO],
            "stream": [True, False],
            "n": [1, 3],
            "max_tokens": [1, 10**9],
            "max_completion_tokens": [1, 10**9],
            "stream_options": [{"include_usage": True}],
        }.items()
    },
)


@given(chat_bodies | json_values, st.integers(1, 10**6))
def test_anything_is_read_or_refused_and_what_is_read_has_a_bound(body: Any, longest: int) -> None:
    raw = orjson.dumps(body)
    try:
        found = read_chat_body(raw)
    except RequestError:
        return

    request = request_of(found, len(raw))
    read, written = worst_case_tokens(request, longest)
    assert read >= len(raw)
    assert 1 <= written <= longest * 128
    assert isinstance(last_user_text(found["messages"]), str)
    assert isinstance(request.wants_usage, bool)
    assert request.is_stream is (found.get("stream") is True)


# --- The prompt -------------------------------------------------------------------------------------------------------


def test_the_prompt_is_the_last_thing_that_the_user_said() -> None:
    messages = [
        {"role": "user", "content": "first"},
        {"role": "user", "content": "second"},
        {"role": "assistant", "content": "answer"},
        {"role": "tool", "content": "result"},
    ]

    assert last_user_text(messages) == "second"
    assert last_user_text([{"role": "system", "content": "be kind"}]) == "be kind"
    assert last_user_text([{"role": "user"}]) == ""
    assert last_user_text([{"role": "user", "content": None}, {"role": "assistant", "content": "x"}]) == ""


def test_the_texts_of_parts_are_joined() -> None:
    content = [
        {"type": "text", "text": "what is "},
        {"type": "image_url", "image_url": {"url": "data:"}},
        "stray",
        {"type": "text", "text": 5},
        {"type": "text", "text": "this?"},
    ]

    assert last_user_text([{"role": "user", "content": content}]) == "what is this?"


def test_prompts_are_named_by_their_sha_256() -> None:
    assert prompt_hash("héllo") == hashlib.sha256("héllo".encode()).hexdigest()
    assert len(prompt_hash("\ud800")) == 64


# --- The worst case ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "written"),
    [
        ({}, 1000),
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 8}, 8),
        ({"max_tokens": 10**9}, 1000),
        ({"n": 3}, 3000),
        ({"n": 3, "max_tokens": 10}, 30),
        ({"max_tokens": None, "n": None}, 1000),
    ],
)
def test_what_may_be_written_is_the_callers_limit_or_the_models(fields: dict[str, Any], written: int) -> None:
    request = request_of({"model": "auto", "messages": HELLO, **fields})

    assert worst_case_tokens(request, 1000)[1] == written


def test_of_two_limits_the_higher_one_bounds_the_cost() -> None:
    """Rule broken: an upper bound; providers differ in which of the two they obey."""
    request = request_of({"model": "auto", "messages": HELLO, "max_completion_tokens": 1, "max_tokens": 900})

    assert worst_case_tokens(request, 1000)[1] == 900


def test_media_count_beside_the_bytes() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://127.0.0.1/i.png"}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "?"}, image, image]}, *HELLO]
    request = request_of({"model": "auto", "messages": messages}, 300)

    assert worst_case_tokens(request, 1000)[0] == 300 + 2 * 20_000


@given(st.lists(st.text(max_size=200), min_size=1, max_size=5), st.booleans())
def test_no_text_has_more_tokens_than_its_body_has_bytes(texts: list[str], is_ascii: bool) -> None:
    """The finest tokenizers read a byte a token, and chat formats add fewer tokens a message than JSON does bytes."""
    messages = [{"role": "user", "content": text} for text in texts]
    body = {"model": "auto", "messages": messages}
    raw = orjson.dumps(body)
    if is_ascii:
        raw = json.dumps(body).encode()
    byte_tokens = sum(len(text.encode("utf-8", "surrogatepass")) + 4 for text in texts) + 3

    assert worst_case_tokens(request_of(body, len(raw)), 10)[0] >= byte_tokens
