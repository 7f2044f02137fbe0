"""The native provider over a client that answers from memory."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from evolving_ai._common.clock import ManualClock
from evolving_ai.domain.money import TokenPrice
from evolving_ai.domain.target import DeploymentTarget, ProviderKind
from evolving_ai.errors import UpstreamError
from evolving_ai.router.ports import ChatCall, StreamPart, UpstreamRequest, UpstreamResponse, UpstreamStream
from evolving_ai.router.providers.openai_compatible import OpenAICompatibleProvider

KEY = "local-key-of-ours"
WHOLE = b'{"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}'
TEXT = b'data: {"choices": [{"delta": {"content": "x"}, "finish_reason": null}]}\n\n'
DONE = b"data: [DONE]\n\n"


@dataclass
class MemoryStream:
    """An answer whose chunks are at hand."""

    status: int
    headers: Mapping[str, str]
    pieces: list[bytes]

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece


@dataclass
class MemoryClient:
    """Answers every request with the same, and remembers what was asked."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=lambda: [WHOLE])
    requests: list[UpstreamRequest] = field(default_factory=list)

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        self.requests.append(request)
        return UpstreamResponse(self.status, self.headers, b"".join(self.pieces))

    @asynccontextmanager
    async def stream(self, request: UpstreamRequest) -> AsyncGenerator[UpstreamStream, None]:
        self.requests.append(request)
        yield MemoryStream(self.status, self.headers, self.pieces)

    async def close(self) -> None:
        """Nothing is open."""


def target(**changes: Any) -> DeploymentTarget:
    fields: dict[str, Any] = {
        "provider": "acme",
        "model": "m",
        "upstream_model": "m-upstream",
        "kind": ProviderKind.OPENAI,
        "base_url": "http://127.0.0.1:1/v1/",
        "api_key_env": "SOME_KEY",
        "region": None,
        "price": TokenPrice(1, 1),
        "max_output_tokens": 100,
        "first_byte_timeout_s": 5.0,
    }
    return DeploymentTarget(**fields | changes)


def provider(client: MemoryClient) -> OpenAICompatibleProvider:
    return OpenAICompatibleProvider(client, {"SOME_KEY": KEY}, ManualClock())


def complete(client: MemoryClient, body: Mapping[str, Any], **changes: Any) -> Any:
    return asyncio.run(provider(client).complete(ChatCall(target(**changes), body, 60.0)))


def stream(client: MemoryClient, body: Mapping[str, Any] | None = None, timeout_s: float = 60.0) -> list[StreamPart]:
    async def parts() -> list[StreamPart]:
        call = ChatCall(target(), body or {"messages": []}, timeout_s)
        return [part async for part in provider(client).stream(call)]

    return asyncio.run(parts())


def test_unknown_fields_go_out_untouched_and_nothing_is_added() -> None:
    client = MemoryClient()
    body = {"model": "auto", "messages": [], "own": {"a": [1, None]}, "temperature": None}

    complete(client, body)

    assert orjson.loads(client.requests[0].body) == body | {"model": "m-upstream"}


def test_the_address_is_below_the_base_url() -> None:
    client = MemoryClient()
    complete(client, {})
    complete(client, {}, base_url=None)

    assert [request.url for request in client.requests] == [
        "http://127.0.0.1:1/v1/chat/completions",
        "https://api.openai.com/v1/chat/completions",
    ]


def test_a_target_without_a_key_sends_none() -> None:
    client = MemoryClient()
    complete(client, {}, api_key_env=None)

    assert "authorization" not in client.requests[0].headers


def test_headers_worth_passing_on_are() -> None:
    headers = {"x-replay-score": "0.5", "x-request-id": "up-1", "set-cookie": "a", "openai-organization": "b"}

    found = complete(MemoryClient(headers=headers), {})

    assert found.headers == {"x-replay-score": "0.5", "x-upstream-request-id": "up-1"}


def test_options_of_a_stream_are_kept_and_usage_asked_for() -> None:
    client = MemoryClient(pieces=[TEXT, DONE])
    stream(client, {"messages": [], "stream_options": {"include_obfuscation": False, "include_usage": False}})

    sent = orjson.loads(client.requests[0].body)
    assert sent["stream"] is True
    assert sent["stream_options"] == {"include_obfuscation": False, "include_usage": True}


def test_options_that_are_none_are_for_the_provider_to_refuse() -> None:
    client = MemoryClient(pieces=[DONE])
    stream(client, {"messages": [], "stream_options": "yes"})

    assert orjson.loads(client.requests[0].body)["stream_options"] == "yes"


@pytest.mark.parametrize(("timeout_s", "first_byte_s"), [(60.0, 5.0), (2.0, 2.0)])
def test_the_first_byte_may_take_no_longer_than_the_whole(timeout_s: float, first_byte_s: float) -> None:
    client = MemoryClient(pieces=[TEXT, DONE])
    stream(client, timeout_s=timeout_s)

    assert client.requests[0].timeout_s == timeout_s
    assert client.requests[0].first_byte_timeout_s == first_byte_s


def test_a_stream_is_the_same_however_it_is_cut() -> None:
    whole = b": hello\n\n" + TEXT + TEXT + DONE

    parts = [stream(MemoryClient(pieces=[whole[i : i + size] for i in range(0, len(whole), size)])) for size in (1, 7)]

    assert parts[0] == parts[1] == stream(MemoryClient(pieces=[whole]))
    assert [part.data for part in parts[0]] == [TEXT[6:-2]] * 2


@pytest.mark.parametrize("end", [b"data: [DONE]", b"data: [DONE]\n", b"data:[DONE]\r\n\r\n", b"data: [DONE] \n\n"])
def test_the_end_mark_is_known_in_each_form(end: bytes) -> None:
    assert len(stream(MemoryClient(pieces=[TEXT, end]))) == 1


@pytest.mark.parametrize("pieces", [[], [TEXT], [TEXT, TEXT[:20]], [b": hello\n\n"]])
def test_a_stream_without_the_end_mark_was_cut(pieces: list[bytes]) -> None:
    with pytest.raises(UpstreamError, match="DONE") as caught:
        stream(MemoryClient(pieces=pieces))

    assert caught.value.result == "connection"


@pytest.mark.parametrize(
    ("body", "result"),
    [(b'{"error": {"code": 429}}', "rate_limited"), (WHOLE, "malformed"), (b"hello", "malformed")],
)
def test_a_whole_answer_to_a_stream_is_read_for_its_error(body: bytes, result: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        stream(MemoryClient(headers={"content-type": "application/json"}, pieces=[body]))

    assert caught.value.result == result


def test_a_long_error_is_not_read_to_its_end() -> None:
    with pytest.raises(UpstreamError) as caught:
        stream(MemoryClient(status=500, pieces=[bytes(65536)] * 1000))

    assert caught.value.result == "server_error"


def test_a_key_is_not_shown() -> None:
    client = MemoryClient(status=400, pieces=[orjson.dumps({"error": {"message": f"what is {KEY}?"}})])
    made = provider(client)

    with pytest.raises(UpstreamError) as caught:
        asyncio.run(made.complete(ChatCall(target(), {}, 1.0)))

    assert KEY not in f"{made!r}{vars(made)['_routes']!r}{caught.value!r}{caught.value.body!r}"


def test_a_key_that_is_set_later_is_found() -> None:
    environment: dict[str, str] = {}
    made = OpenAICompatibleProvider(MemoryClient(), environment, ManualClock())
    with pytest.raises(UpstreamError, match="SOME_KEY"):
        asyncio.run(made.complete(ChatCall(target(), {}, 1.0)))

    environment["SOME_KEY"] = KEY

    assert asyncio.run(made.complete(ChatCall(target(), {}, 1.0))).finish_reason == "stop"
