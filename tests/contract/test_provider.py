"""What every `Provider` guarantees, run over both against servers that speak as providers do, well and badly."""

import asyncio
import functools
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, cast

import pytest

from evolving_ai._common.clock import ManualClock
from evolving_ai.domain.money import TokenPrice
from evolving_ai.domain.target import DeploymentTarget, ProviderKind
from evolving_ai.errors import UpstreamError
from evolving_ai.router.ports import ChatCall, Completion, Provider, StreamPart, Usage
from evolving_ai.router.providers.litellm_provider import LitellmProvider
from evolving_ai.router.providers.openai_compatible import OpenAICompatibleProvider
from evolving_ai.router.upstream.pyreqwest_client import PyreqwestClient
from tests.contract.scripted_server import Exchange, Script, ScriptedServer, answer, head

KEY = "sk-local-0123456789abcdef"
ENVIRONMENT = {"SOME_KEY": KEY}
LONG_S = 60.0
JSON = "content-type: application/json"
EVENTS = ("content-type: text/event-stream", "transfer-encoding: chunked")
MESSAGES = [{"role": "user", "content": "Why?"}]

NATIVE = "native"
ADAPTED = "litellm, OpenAI's format"
FOREIGN = "litellm, Anthropic's format"
MODELS = {NATIVE: "m-1", ADAPTED: "openai/m-1", FOREIGN: "anthropic/m-1"}

Opened: TypeAlias = tuple["Spoken", ScriptedServer]

# pydantic has complaints about litellm, which takes them for the provider's errors where warnings are errors.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Item '.*' on TypedDict class:UserWarning")


class Spoken:
    """A provider that speaks to one server."""

    def __init__(self, provider: Provider, kind: str, url: str) -> None:
        self.provider = provider
        self.is_native = kind == NATIVE
        self.target = DeploymentTarget(
            provider="acme",
            model="m",
            upstream_model=MODELS[kind],
            kind=ProviderKind.OPENAI,
            base_url=url if kind == FOREIGN else f"{url}/v1",
            api_key_env="SOME_KEY",
            region=None,
            price=TokenPrice(1, 1),
            max_output_tokens=100,
        )

    def call(self, body: Mapping[str, Any] | None = None, timeout_s: float = LONG_S) -> ChatCall:
        return ChatCall(self.target, {"model": "auto", "messages": MESSAGES} | dict(body or {}), timeout_s)

    async def complete(self, body: Mapping[str, Any] | None = None, timeout_s: float = LONG_S) -> Completion:
        return await self.provider.complete(self.call(body, timeout_s))

    def stream(
        self, body: Mapping[str, Any] | None = None, timeout_s: float = LONG_S
    ) -> AsyncGenerator[StreamPart, None]:
        parts = self.provider.stream(self.call({"stream": True} | dict(body or {}), timeout_s))
        return cast("AsyncGenerator[StreamPart, None]", parts)

    async def failure(self, timeout_s: float = LONG_S) -> UpstreamError:
        with pytest.raises(UpstreamError) as caught:
            await self.complete(timeout_s=timeout_s)
        return caught.value

    async def broken(self, timeout_s: float = LONG_S) -> tuple[list[StreamPart], UpstreamError]:
        """What came of a stream, and how it failed."""
        parts = []
        try:
            async for part in self.stream(timeout_s=timeout_s):
                parts.append(part)
        except UpstreamError as exc:
            return parts, exc
        pytest.fail(f"the stream ended well, with {parts}")


@pytest.fixture(params=[NATIVE, ADAPTED])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    chosen: str = request.param
    return chosen


def on_a_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an asynchronous test on a loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), LONG_S))  # type: ignore[arg-type]

    return run


@asynccontextmanager
async def opened(kind: str, script: Script) -> AsyncIterator[Opened]:
    client = PyreqwestClient()
    provider: Provider = LitellmProvider(ENVIRONMENT)
    if kind == NATIVE:
        provider = OpenAICompatibleProvider(client, ENVIRONMENT, ManualClock())
    async with ScriptedServer(script).running() as server:
        try:
            yield Spoken(provider, kind, server.url), server
        finally:
            await client.close()


def completion(content: str | None = "Because.", finish_reason: str | None = "stop", **more: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    head_of = {"id": "c-1", "object": "chat.completion", "created": 1, "model": "m-1"}
    return json.dumps(head_of | {"choices": [choice], "usage": usage} | more).encode()


def chunk(delta: Mapping[str, Any] | None = None, finish_reason: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
    head_of = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m-1"}
    return b"data: " + json.dumps(head_of | {"choices": choices} | more).encode() + b"\n\n"


ROLE = chunk({"role": "assistant", "content": ""})
TEXT = chunk({"content": "Because."})
STOP = chunk({}, "stop")
USAGE = chunk(usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5})
DONE = b"data: [DONE]\n\n"


def replying(*pieces: bytes) -> Script:
    async def script(exchange: Exchange) -> None:
        for piece in pieces:
            await exchange.send(piece)

    return script


def streaming(*events: bytes, ends: bool = True) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.send(head(*EVENTS))
        for event in events:
            await exchange.chunk(event)
        if ends:
            await exchange.chunk(b"")

    return script


# --- Whole answers ----------------------------------------------------------------------------------------------------


@on_a_loop
async def test_an_answer_has_a_body_usage_and_a_reason(kind: str) -> None:
    async with opened(kind, replying(answer(completion(), JSON, "x-request-id: up-1"))) as (spoken, _):
        found = await spoken.complete()

    body = json.loads(found.body)
    assert body["choices"][0]["message"]["content"] == "Because."
    assert body["object"] == "chat.completion"
    assert found.usage == Usage(3, 2)
    assert found.finish_reason == "stop"
    assert found.headers["x-upstream-request-id"] == "up-1"


@on_a_loop
async def test_the_upstream_model_and_the_key_are_sent(kind: str) -> None:
    async with opened(kind, replying(answer(completion(), JSON))) as (spoken, server):
        await spoken.complete({"temperature": 0.5, "tools": []})

    sent = json.loads(server.requests[0].body)
    assert sent["model"] == "m-1"
    assert sent["messages"] == MESSAGES
    assert sent["temperature"] == 0.5
    assert server.requests[0].target == "/v1/chat/completions"
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


@on_a_loop
async def test_the_callers_body_is_not_changed(kind: str) -> None:
    async with opened(kind, replying(answer(completion(), JSON))) as (spoken, _):
        call = spoken.call({"stop": ["a"], "unknown": 1})
        before = json.dumps(call.body)
        await spoken.provider.complete(call)

    assert json.dumps(call.body) == before


@on_a_loop
async def test_an_answer_without_usage_is_an_answer(kind: str) -> None:
    async with opened(kind, replying(answer(completion(usage=None), JSON))) as (spoken, _):
        found = await spoken.complete()

    assert found.usage in (None, Usage(0, 0))


@on_a_loop
async def test_a_tool_call_is_content(kind: str) -> None:
    call = {"id": "t-1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    body = completion(choices=[{"index": 0, "message": message, "finish_reason": "tool_calls"}])
    async with opened(kind, replying(answer(body, JSON))) as (spoken, _):
        found = await spoken.complete()

    assert found.finish_reason == "tool_calls"
    assert json.loads(found.body)["choices"][0]["message"]["tool_calls"][0]["id"] == "t-1"


# --- Failures ---------------------------------------------------------------------------------------------------------

ERROR = {"error": {"message": f"No: {KEY} of org-abcdefghij", "type": "some_error", "param": "x", "code": "y"}}
RESULTS = {
    "400 Bad Request": "refused",
    "401 Unauthorized": "credentials",
    "403 Forbidden": "credentials",
    "404 Not Found": "refused",
    "408 Timeout": "timeout",
    "413 Too Large": "refused",
    "422 Unprocessable": "refused",
    "429 Too Many Requests": "rate_limited",
    "500 Internal Server Error": "server_error",
    "502 Bad Gateway": "server_error",
    "503 Service Unavailable": "server_error",
    "504 Gateway Timeout": "timeout",
    "529 Overloaded": "server_error",
}


@pytest.mark.parametrize("status", RESULTS)
@on_a_loop
async def test_a_status_says_what_failed_and_no_key(kind: str, status: str) -> None:
    async with opened(kind, replying(answer(json.dumps(ERROR).encode(), JSON, status=status))) as (spoken, server):
        failure = await spoken.failure()
        streamed = (await spoken.broken())[1]

    assert failure.result == streamed.result == RESULTS[status]
    assert len(server.requests) == 2, "nothing is retried"
    shown = f"{failure!r}{failure}{failure.body!r}{streamed}{streamed.body!r}{spoken.provider!r}"
    assert KEY not in shown
    assert "org-abcdefghij" not in shown
    assert "\n" not in str(failure)
    if failure.result == "refused":
        assert failure.status == int(status[:3])
        error = json.loads(failure.body or b"")["error"]
        assert error.keys() >= {"message", "type", "param", "code"}
        assert error["message"].startswith("No: ")


@pytest.mark.parametrize("header", ["retry-after: 7", "Retry-After: 7.0"])
@on_a_loop
async def test_a_rate_limit_says_how_long_to_wait(kind: str, header: str) -> None:
    limited = answer(json.dumps(ERROR).encode(), JSON, header, status="429 Too Many Requests")
    async with opened(kind, replying(limited)) as (spoken, _):
        assert (await spoken.failure()).retry_after_s == 7.0


NO_ANSWERS = {
    "no JSON": b"<html>hello</html>",
    "cut JSON": completion()[:-20],
    "no choices": completion(choices=[]),
}


@pytest.mark.parametrize("body", NO_ANSWERS)
@on_a_loop
async def test_what_is_no_answer_is_not_taken_for_one(kind: str, body: str) -> None:
    async with opened(kind, replying(answer(NO_ANSWERS[body], JSON))) as (spoken, _):
        failure = await spoken.failure()

    assert failure.result in ({"malformed"} if spoken.is_native else {"malformed", "server_error"})


@on_a_loop
async def test_a_cut_connection_is_one(kind: str) -> None:
    for script in (replying(), replying(head("content-length: 900", JSON) + completion()[:50])):
        async with opened(kind, script) as (spoken, _):
            assert (await spoken.failure()).result == "connection"


@on_a_loop
async def test_silence_is_a_timeout(kind: str) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.closed()

    async with opened(kind, script) as (spoken, _):
        await warmed(spoken)
        assert (await spoken.failure(timeout_s=0.3)).result == "timeout"
        assert (await spoken.broken(timeout_s=0.3))[1].result == "timeout"


async def warmed(spoken: Spoken) -> None:
    """litellm is imported with the first call; that is no part of what is timed."""
    if isinstance(spoken.provider, LitellmProvider):
        await spoken.provider._loaded()


@on_a_loop
async def test_a_key_that_is_not_set_is_unavailable(kind: str) -> None:
    async with opened(kind, replying(answer(completion(), JSON))) as (spoken, server):
        spoken.provider = (
            OpenAICompatibleProvider(PyreqwestClient(), {"SOME_KEY": " "}, ManualClock())
            if spoken.is_native
            else LitellmProvider({})
        )
        failure = await spoken.failure()

    assert failure.result == "unavailable"
    assert "SOME_KEY" in str(failure)
    assert server.requests == []


# --- Streams ----------------------------------------------------------------------------------------------------------


@on_a_loop
async def test_a_stream_has_its_parts_in_order(kind: str) -> None:
    async with opened(kind, streaming(ROLE, TEXT, TEXT, STOP, USAGE, DONE)) as (spoken, server):
        parts = [part async for part in spoken.stream()]

    texts = [choice["delta"].get("content") for part in parts for choice in json.loads(part.data)["choices"]]
    assert [text for text in texts if text] == ["Because.", "Because."]
    assert [part.has_content for part in parts] == [False, True, True, False, False]
    assert [part.finish_reason for part in parts] == [None, None, None, "stop", None]
    assert [part.is_usage_only for part in parts] == [False, False, False, False, True]
    assert parts[-1].usage == Usage(3, 2)
    assert json.loads(parts[-1].data)["choices"] == []
    assert parts[0].headers is not None
    assert all(part.headers is None for part in parts[1:])
    assert json.loads(server.requests[0].body)["stream"] is True


@pytest.mark.parametrize("options", [None, {"include_usage": False}, {"include_usage": True}])
@on_a_loop
async def test_usage_is_always_asked_for(kind: str, options: dict[str, Any] | None) -> None:
    async with opened(kind, streaming(ROLE, TEXT, STOP, USAGE, DONE)) as (spoken, server):
        async for _ in spoken.stream({"stream_options": options}):
            pass

    assert json.loads(server.requests[0].body)["stream_options"] == {"include_usage": True}


@on_a_loop
async def test_a_part_is_given_before_the_next_one_is_sent(kind: str) -> None:
    seen = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.send(head(*EVENTS))
        await exchange.chunk(ROLE)
        await exchange.chunk(TEXT)
        await seen.wait()
        for event in (STOP, USAGE, DONE, b""):
            await exchange.chunk(event)

    async with opened(kind, script) as (spoken, _):
        async for part in spoken.stream():
            if part.has_content:
                seen.set()

    assert seen.is_set()


@on_a_loop
async def test_usage_on_the_last_choice_is_read(kind: str) -> None:
    last = chunk({}, "stop", usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5})
    async with opened(kind, streaming(ROLE, TEXT, last, DONE)) as (spoken, _):
        parts = [part async for part in spoken.stream()]

    assert [part.usage for part in parts if part.usage] == [Usage(3, 2)]


@on_a_loop
async def test_a_stream_that_is_cut_is_a_failed_connection(kind: str) -> None:
    for ends in (True, False):
        async with opened(kind, streaming(ROLE, TEXT, ends=ends)) as (spoken, _):
            parts, failure = await spoken.broken()

        assert failure.result == "connection"
        assert not any(part.finish_reason for part in parts)


@on_a_loop
async def test_an_error_inside_a_stream_ends_it(kind: str) -> None:
    error = b"data: " + json.dumps({"error": {"message": f"{KEY} is overloaded", "code": 503}}).encode() + b"\n\n"
    async with opened(kind, streaming(ROLE, TEXT, error, DONE)) as (spoken, _):
        parts, failure = await spoken.broken()

    assert [part.has_content for part in parts] == [False, True]
    assert failure.result in ("server_error", "connection")
    assert KEY not in str(failure)


@on_a_loop
async def test_closing_the_stream_closes_the_connection(kind: str) -> None:
    closed = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.send(head(*EVENTS))
        await exchange.chunk(ROLE)
        await exchange.chunk(TEXT)
        await exchange.closed()
        closed.set()

    async with opened(kind, script) as (spoken, _):
        parts = spoken.stream()
        async for part in parts:
            if part.has_content:
                break
        await parts.aclose()
        await closed.wait()


# --- litellm alone ----------------------------------------------------------------------------------------------------


def anthropic_event(name: str, **body: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name} | body)}\n\n".encode()


ANTHROPIC_USAGE = {"input_tokens": 3, "output_tokens": 2}
ANTHROPIC_MESSAGE = {"id": "msg-1", "type": "message", "role": "assistant", "model": "m-1", "stop_sequence": None}


@on_a_loop
async def test_anthropics_answers_become_openais() -> None:
    content = [{"type": "text", "text": "Because."}]
    message = ANTHROPIC_MESSAGE | {"content": content, "stop_reason": "max_tokens", "usage": ANTHROPIC_USAGE}
    async with opened(FOREIGN, replying(answer(json.dumps(message).encode(), JSON))) as (spoken, server):
        found = await spoken.complete()

    assert json.loads(found.body)["choices"][0]["message"]["content"] == "Because."
    assert (found.usage, found.finish_reason) == (Usage(3, 2), "length")
    assert server.requests[0].headers["x-api-key"] == KEY
    assert server.requests[0].target == "/v1/messages"


@on_a_loop
async def test_anthropics_streams_become_openais() -> None:
    begun = ANTHROPIC_MESSAGE | {"content": [], "stop_reason": None, "usage": {"input_tokens": 3, "output_tokens": 0}}
    events = [
        anthropic_event("message_start", message=begun),
        anthropic_event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        anthropic_event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Because."}),
        anthropic_event("content_block_stop", index=0),
        anthropic_event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 2}),
        anthropic_event("message_stop"),
    ]
    async with opened(FOREIGN, streaming(*events)) as (spoken, _):
        parts = [part async for part in spoken.stream()]

    texts = [choice["delta"].get("content") for part in parts for choice in json.loads(part.data)["choices"]]
    assert "".join(text or "" for text in texts) == "Because."
    assert [part.finish_reason for part in parts if part.finish_reason] == ["stop"]
    assert parts[-1].usage == Usage(3, 2)
    assert parts[-1].is_usage_only


@on_a_loop
async def test_a_caller_cannot_send_litellm_elsewhere() -> None:
    elsewhere = {
        "api_base": "http://127.0.0.1:1",
        "base_url": "http://127.0.0.1:1",
        "api_key": "x",
        "mock_response": "x",
    }
    more = {"extra_headers": {"x-a": "b"}, "model_list": [], "fallbacks": ["openai/other"], "metadata": {"a": "b"}}
    async with opened(ADAPTED, replying(answer(completion(), JSON))) as (spoken, server):
        found = await spoken.complete(elsewhere | more)

    assert json.loads(found.body)["choices"][0]["message"]["content"] == "Because."
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert json.loads(server.requests[0].body).keys() == {"model", "messages"}


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/secret"}},
        {"type": "image_url", "image_url": "https://127.0.0.1/secret"},
        {"type": "file", "file": {"file_id": "gs://bucket/secret"}},
        {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}},
    ],
)
@on_a_loop
async def test_litellm_is_given_no_address_to_fetch(part: dict[str, Any]) -> None:
    async with opened(ADAPTED, replying(answer(completion(), JSON))) as (spoken, server):
        with pytest.raises(UpstreamError, match="data: URL") as caught:
            await spoken.complete({"messages": [{"role": "user", "content": [part]}]})

    assert caught.value.result == "refused"
    assert server.requests == []


@on_a_loop
async def test_litellm_is_given_pictures_as_data_and_texts_with_addresses() -> None:
    parts = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "text", "text": "http://127.0.0.1/ is an address"},
    ]
    async with opened(ADAPTED, replying(answer(completion(), JSON))) as (spoken, _):
        assert (await spoken.complete({"messages": [{"role": "user", "content": parts}]})).finish_reason == "stop"


@on_a_loop
async def test_a_model_that_litellm_cannot_place_is_unavailable() -> None:
    async with opened(ADAPTED, replying(answer(completion(), JSON))) as (spoken, _):
        target = spoken.target
        body = {"model": "auto", "messages": MESSAGES}
        fields = {name: getattr(target, name) for name in target.__slots__}
        nowhere = DeploymentTarget(**fields | {"upstream_model": "frobnicator", "base_url": None})
        with pytest.raises(UpstreamError, match="upstream_model") as caught:
            await spoken.provider.complete(ChatCall(nowhere, body, LONG_S))

    assert caught.value.result == "unavailable"


def test_litellm_is_told_to_stay_off_the_network() -> None:
    asyncio.run(LitellmProvider({})._loaded())

    assert os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] == "True"
    assert os.environ["LITELLM_MODE"] == "PRODUCTION"
