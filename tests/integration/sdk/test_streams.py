"""Streams: chunks as they come, the whole answer and its figures at the end; never a short answer that looks whole."""

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from evolving_ai import EvolutionFramework, SyncEvolutionFramework
from evolving_ai.errors import UsageError
from evolving_ai.sdk import ApiConnectionError, ApiError, ApiTimeoutError, ChatResult, RateLimitError, UnavailableError
from tests.doubles.platform_server import PlatformServer, Scripted, Stream

HELLO = [{"role": "user", "content": "Hello"}]
COST = b": x-evolving-cost-usd 0.000123\n\n"
DONE = b"data: [DONE]\n\n"
Reader = Callable[..., tuple[list[str], ChatResult]]


def event(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return f"data: {json.dumps({'id': 'c', 'model': 'm-1', 'choices': [choice]}, ensure_ascii=False)}\n\n".encode()


USAGE = b'data: {"id":"c","model":"m-1","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4}}\n\n'
WORDS = ["Grüße", " aus", " Köln", "\u2028!"]
WHOLE = (event({"role": "assistant", "content": ""}), *[event({"content": word}) for word in WORDS])
ENDING = (event({}, "stop"), USAGE, COST, DONE)


@pytest.fixture(params=["asynchronous", "synchronous"])
def read(request: pytest.FixtureRequest, platform: PlatformServer) -> Reader:
    """Reads a whole stream: its texts, and its result."""

    def blocking(**fields: Any) -> tuple[list[str], ChatResult]:
        with SyncEvolutionFramework(base_url=platform.url) as framework:
            stream = framework.ai.chat(HELLO, stream=True, **fields)
            texts = [chunk.text for chunk in stream]
            return texts, stream.result

    def awaited(**fields: Any) -> tuple[list[str], ChatResult]:
        async def main() -> tuple[list[str], ChatResult]:
            async with EvolutionFramework(base_url=platform.url) as framework:
                stream = await framework.ai.chat(HELLO, stream=True, **fields)
                texts = [chunk.text async for chunk in stream]
                return texts, stream.result

        return asyncio.run(main())

    return blocking if request.param == "synchronous" else awaited


def test_chunks_come_in_order_and_the_figures_at_the_end(read: Reader, platform: PlatformServer) -> None:
    platform.script.append(Stream((*WHOLE, *ENDING)))

    texts, result = read()

    assert [text for text in texts if text] == WORDS
    assert (result.text, result.message["role"]) == ("".join(WORDS), "assistant")
    assert (result.target, result.model, result.attempts) == ("acme/small", "small", 2)
    assert (result.usage.input_tokens, result.usage.output_tokens) == (9, 4)
    assert (result.cost_usd, result.finish_reason) == (Decimal("0.000123"), "stop")
    assert (result.dna, result.snapshot) == ("d" * 12, "5" * 12)
    assert result.decision_id == "req-0000000000000000000000"
    assert platform.seen[0].body["stream_options"] == {"include_usage": True}
    assert platform.seen[0].headers["accept"] == "text/event-stream"


def test_bytes_may_be_cut_anywhere(read: Reader, platform: PlatformServer) -> None:
    content = b"".join((*WHOLE, *ENDING))
    platform.script.append(Stream(tuple(content[i : i + 1] for i in range(len(content)))))

    assert read()[1].text == "".join(WORDS)


def test_tool_calls_are_put_together_from_their_fragments(read: Reader, platform: PlatformServer) -> None:
    def fragment(index: int, **fields: Any) -> bytes:
        return event({"tool_calls": [{"index": index, **fields}]})

    platform.script.append(
        Stream(
            (
                fragment(0, id="a", type="function", function={"name": "add", "arguments": ""}),
                fragment(1, id="b", type="function", function={"name": "ask", "arguments": "{"}),
                fragment(0, function={"arguments": '{"x":'}),
                fragment(1, function={"arguments": "}"}),
                fragment(0, function={"arguments": "1}"}),
                event({}, "tool_calls"),
                DONE,
            )
        )
    )

    result = read()[1]

    assert result.message["tool_calls"] == [
        {"id": "a", "type": "function", "function": {"name": "add", "arguments": '{"x":1}'}},
        {"id": "b", "type": "function", "function": {"name": "ask", "arguments": "{}"}},
    ]
    assert (result.text, result.message["content"], result.cost_usd) == ("", None, None)


@pytest.mark.parametrize("is_cut", [True, False])
def test_a_stream_that_ends_early_is_an_error(read: Reader, platform: PlatformServer, is_cut: bool) -> None:
    platform.script.append(Stream(WHOLE, is_cut=is_cut))
    with pytest.raises(ApiConnectionError) as raised:
        read()
    assert raised.value.request_id == "req-0000000000000000000000"
    assert len(platform.seen) == 1, "a stream that has begun is never asked for again"


def test_an_error_in_the_stream_is_told_with_its_code(read: Reader, platform: PlatformServer) -> None:
    said = {"message": "the answer broke off", "type": "api_error", "param": None, "code": "all_targets_failed"}
    platform.script.append(Stream((*WHOLE, f"data: {json.dumps({'error': said})}\n\n".encode(), COST)))
    with pytest.raises(UnavailableError, match="the answer broke off") as raised:
        read()
    assert (raised.value.code, raised.value.request_id) == ("all_targets_failed", "req-0000000000000000000000")


@pytest.mark.parametrize(
    "piece",
    [b"data: {\n\n", b"data: 3\n\n", b'data: {"id":1}\n\n', b'data: {"choices":[{"delta":3}]}\n\n', b"data: \xff\n\n"],
)
def test_what_is_no_chunk_is_told(read: Reader, platform: PlatformServer, piece: bytes) -> None:
    platform.script.append(Stream((*WHOLE, piece, DONE)))
    with pytest.raises(ApiError) as raised:
        read()
    assert raised.value.code == "malformed_answer"


def test_a_stream_that_never_began_is_asked_for_again(read: Reader, platform: PlatformServer) -> None:
    busy = Scripted(429, {"error": {"code": "rate_limit_exceeded"}}, {"x-should-retry": "true", "retry-after-ms": "1"})
    platform.script += [busy, Stream((*WHOLE, *ENDING))]

    assert read()[1].text == "".join(WORDS)


def test_a_refused_stream_is_its_error(read: Reader, platform: PlatformServer) -> None:
    platform.script.append(Scripted(429, {"error": {"code": "rate_limit_exceeded", "message": "slowly"}}))
    with pytest.raises(RateLimitError, match="slowly"):
        read()


def test_silence_in_a_stream_is_a_timeout(read: Reader, platform: PlatformServer) -> None:
    platform.script.append(Stream(WHOLE, stalls=True))
    with pytest.raises(ApiTimeoutError):
        read(timeout_s=0.2)
    assert platform.client_left.wait(5)


def test_a_caller_may_ask_for_the_usage_in_its_own_way(read: Reader, platform: PlatformServer) -> None:
    platform.script.append(Stream((*WHOLE, *ENDING)))
    read(stream_options={"include_usage": False, "include_obfuscation": False})
    assert platform.seen[0].body["stream_options"] == {"include_usage": False, "include_obfuscation": False}


def test_closing_early_closes_the_connection(platform: PlatformServer) -> None:
    async def awaited() -> None:
        async with EvolutionFramework(base_url=platform.url) as framework:
            async with await framework.ai.chat(HELLO, stream=True) as stream:
                assert [chunk.text async for chunk in _first(stream)] == [""]
                with pytest.raises(UsageError, match="has not ended"):
                    _ = stream.result
            assert await asyncio.to_thread(platform.client_left.wait, 5)
            assert [chunk async for chunk in stream] == [], "a closed stream gives nothing"

    async def _first(stream: Any) -> Any:
        yield await anext(stream)

    platform.script.append(Stream(WHOLE, stalls=True))
    asyncio.run(awaited())

    platform.client_left.clear()
    platform.script.append(Stream(WHOLE, stalls=True))
    with SyncEvolutionFramework(base_url=platform.url) as framework:
        with framework.ai.chat(HELLO, stream=True) as stream:
            assert next(stream).text == ""
        assert platform.client_left.wait(5)
        assert list(stream) == []


def test_a_cancelled_reader_closes_the_connection(platform: PlatformServer) -> None:
    platform.script.append(Stream(WHOLE, stalls=True))

    async def main() -> None:
        async with EvolutionFramework(base_url=platform.url) as framework:
            stream = await framework.ai.chat(HELLO, stream=True)
            task = asyncio.create_task(stream.collect())
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(platform.client_left.wait, 5)

    asyncio.run(main())


def test_a_whole_stream_leaves_its_connection_to_the_next_call(platform: PlatformServer) -> None:
    with SyncEvolutionFramework(base_url=platform.url) as framework:
        for _ in range(3):
            platform.script.append(Stream((*WHOLE, *ENDING)))
            assert framework.ai.chat(HELLO, stream=True).collect().text == "".join(WORDS)
    assert len(platform.connections) == 1


def test_a_chunk_is_there_before_the_next_one_is_sent(platform: PlatformServer) -> None:
    platform.script.append(Stream((event({"content": "first"}),), stalls=True))
    with (
        SyncEvolutionFramework(base_url=platform.url, timeout_s=5) as framework,
        framework.ai.chat(HELLO, stream=True) as stream,
    ):
        assert next(stream).text == "first"
