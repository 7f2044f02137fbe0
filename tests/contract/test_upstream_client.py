"""What every `UpstreamClient` guarantees, run over every implementation against a server that misbehaves."""

import asyncio
import contextlib
import functools
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import pytest

from evolving_ai.errors import UpstreamError
from evolving_ai.router.ports import UpstreamClient, UpstreamRequest
from evolving_ai.router.upstream.aiohttp_client import AiohttpClient
from evolving_ai.router.upstream.asyncio_client import AsyncioClient
from evolving_ai.router.upstream.limits import UpstreamLimits
from evolving_ai.router.upstream.pyreqwest_client import PyreqwestClient
from tests.contract.scripted_server import Exchange, Script, ScriptedServer, answer, head

KIB = 1024
CAP = 256 * KIB
LIMITS = UpstreamLimits(max_body_bytes=CAP)
SHORT_S = 0.3
LONG_S = 20.0
KEY = "sk-do-not-show-0123456789"

Opened: TypeAlias = tuple[UpstreamClient, ScriptedServer]
MakeClient: TypeAlias = Callable[[UpstreamLimits], UpstreamClient]


@pytest.fixture(params=[AsyncioClient, PyreqwestClient, AiohttpClient])
def make(request: pytest.FixtureRequest) -> MakeClient:
    made: MakeClient = request.param
    return made


def on_a_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an asynchronous test on a loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), LONG_S))  # type: ignore[arg-type]

    return run


@asynccontextmanager
async def opened(make: MakeClient, script: Script) -> AsyncIterator[Opened]:
    client = make(LIMITS)
    async with ScriptedServer(script).running() as server:
        try:
            yield client, server
        finally:
            await client.close()


def request_to(url: str, *, timeout_s: float = LONG_S, first_byte_timeout_s: float = LONG_S) -> UpstreamRequest:
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    return UpstreamRequest(f"{url}/v1/chat/completions", headers, b'{"a": 1}', timeout_s, first_byte_timeout_s)


def replying(*pieces: bytes, keep: bool = False) -> Script:
    async def script(exchange: Exchange) -> bool:
        for piece in pieces:
            await exchange.send(piece)
        return keep

    return script


async def failure_of(make: MakeClient, script: Script, *, timeout_s: float = LONG_S) -> UpstreamError:
    """How a call that is read whole fails."""
    async with opened(make, script) as (client, server):
        with pytest.raises(UpstreamError) as caught:
            await client.send(request_to(server.url, timeout_s=timeout_s))
    return caught.value


async def stream_failure_of(
    make: MakeClient, script: Script, *, timeout_s: float = LONG_S
) -> tuple[bytes, UpstreamError]:
    """What of a stream came, and how it failed."""
    received = b""
    async with opened(make, script) as (client, server):
        try:
            async with client.stream(request_to(server.url, timeout_s=timeout_s)) as stream:
                async for chunk in stream.chunks():
                    received += chunk
        except UpstreamError as exc:
            return received, exc
    pytest.fail(f"the stream ended well, with {received[:100]!r}")


@on_a_loop
async def test_an_answer_is_read_whole(make: MakeClient) -> None:
    async with opened(make, replying(answer(b'{"b": 2}', "X-Request-ID: abc"))) as (client, server):
        response = await client.send(request_to(server.url))

    assert (response.status, response.body) == (200, b'{"b": 2}')
    assert response.headers.get("x-request-id") == "abc"
    assert all(name == name.lower() for name in response.headers)


@on_a_loop
async def test_the_request_arrives_as_it_was_given(make: MakeClient) -> None:
    async with opened(make, replying(answer(b"{}"))) as (client, server):
        await client.send(request_to(server.url))

    request = server.requests[0]
    assert (request.target, request.body) == ("/v1/chat/completions", b'{"a": 1}')
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"


@on_a_loop
async def test_an_empty_body_is_an_answer(make: MakeClient) -> None:
    async with opened(make, replying(answer(b""))) as (client, server):
        assert (await client.send(request_to(server.url))).body == b""


@pytest.mark.parametrize("size", [64 * KIB - 1, 64 * KIB, 64 * KIB + 1, CAP])
@on_a_loop
async def test_a_large_body_is_read_whole(make: MakeClient, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    async with opened(make, replying(answer(body))) as (client, server):
        assert (await client.send(request_to(server.url))).body == body


@on_a_loop
async def test_a_chunked_body_is_read_whole(make: MakeClient) -> None:
    chunks = b"3\r\nabc\r\n" * 5 + b"0\r\n\r\n"
    async with opened(make, replying(head("transfer-encoding: chunked"), chunks)) as (client, server):
        assert (await client.send(request_to(server.url))).body == b"abc" * 5


@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "429 Too Many Requests", "503 Busy"])
@on_a_loop
async def test_an_error_status_is_an_answer(make: MakeClient, status: str) -> None:
    async with opened(make, replying(answer(b"no", "retry-after: 3", status=status), keep=True)) as (client, server):
        response = await client.send(request_to(server.url))
        async with client.stream(request_to(server.url)) as stream:
            streamed = b"".join([chunk async for chunk in stream.chunks()])

    assert response.status == stream.status == int(status[:3])
    assert response.body == streamed == b"no"
    assert response.headers.get("retry-after") == stream.headers.get("retry-after") == "3"


@on_a_loop
async def test_a_redirect_is_not_followed(make: MakeClient) -> None:
    async with opened(make, replying(answer(b"", "location: /other", status="307 Moved"))) as (client, server):
        response = await client.send(request_to(server.url))

    assert response.status == 307
    assert len(server.requests) == 1


@on_a_loop
async def test_two_requests_in_a_row_use_one_connection(make: MakeClient) -> None:
    async with opened(make, replying(answer(b"{}"), keep=True)) as (client, server):
        await client.send(request_to(server.url))
        await client.send(request_to(server.url))

    assert [request.connection for request in server.requests] == [0, 0]


@on_a_loop
async def test_a_stream_that_was_read_to_its_end_leaves_its_connection_to_the_next(make: MakeClient) -> None:
    async with opened(make, replying(answer(b"data: 1\n\n"), keep=True)) as (client, server):
        for _ in range(2):
            async with client.stream(request_to(server.url)) as stream:
                assert b"".join([chunk async for chunk in stream.chunks()]) == b"data: 1\n\n"

    assert [request.connection for request in server.requests] == [0, 0]


@on_a_loop
async def test_a_proxy_of_the_environment_is_ignored(make: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with opened(make, replying(answer(b"{}"))) as (client, server):
        assert (await client.send(request_to(server.url))).status == 200


@on_a_loop
async def test_cookies_are_not_kept(make: MakeClient) -> None:
    async with opened(make, replying(answer(b"{}", "set-cookie: a=b"), keep=True)) as (client, server):
        await client.send(request_to(server.url))
        await client.send(request_to(server.url))

    assert "cookie" not in server.requests[1].headers


# --- Streams ----------------------------------------------------------------------------------------------------------


@on_a_loop
async def test_a_frame_is_seen_before_the_next_one_is_sent(make: MakeClient) -> None:
    seen = asyncio.Semaphore(0)

    async def script(exchange: Exchange) -> None:
        await exchange.send(head("transfer-encoding: chunked", "content-type: text/event-stream"))
        await seen.acquire()
        for frame in (b"data: one\n\n", b"data: two\n\n"):
            await exchange.chunk(frame)
            await seen.acquire()
        await exchange.chunk(b"")

    received = []
    async with opened(make, script) as (client, server), client.stream(request_to(server.url)) as stream:
        assert stream.headers.get("content-type") == "text/event-stream"
        seen.release()
        async for chunk in stream.chunks():
            received.append(chunk)
            seen.release()

    assert received == [b"data: one\n\n", b"data: two\n\n"]


@on_a_loop
async def test_leaving_a_stream_early_closes_its_connection(make: MakeClient) -> None:
    closed = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.send(head("transfer-encoding: chunked"))
        await exchange.chunk(b"data: one\n\n")
        await exchange.closed()
        closed.set()

    async with opened(make, script) as (client, server):
        async with client.stream(request_to(server.url)) as stream:
            assert await anext(aiter(stream.chunks())) == b"data: one\n\n"
        await closed.wait()


@on_a_loop
async def test_cancelling_a_stream_closes_its_connection(make: MakeClient) -> None:
    closed, begun = asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.send(head("transfer-encoding: chunked"))
        await exchange.closed()
        closed.set()

    async with opened(make, script) as (client, server):

        async def consume() -> None:
            async with client.stream(request_to(server.url)) as stream:
                begun.set()
                async for _ in stream.chunks():
                    pass

        task = asyncio.create_task(consume())
        await begun.wait()
        await cancelled(task)
        await closed.wait()


@on_a_loop
async def test_a_cancellation_is_obeyed_whenever_it_comes(make: MakeClient) -> None:
    """Also when it meets the answer: the loop is turned a different number of times before each one."""
    async with opened(make, replying(answer(b"{}"), keep=True)) as (client, server):
        for turns in range(60):
            task: asyncio.Task[Any] = asyncio.create_task(client.send(request_to(server.url)))
            for _ in range(turns):
                await asyncio.sleep(0)
            if not task.done():
                await cancelled(task)


@on_a_loop
async def test_a_cancelled_call_ends_at_once_and_its_connection_by_its_timeout(make: MakeClient) -> None:
    closed, arrived = asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> None:
        arrived.set()
        await exchange.closed()
        closed.set()

    async with opened(make, script) as (client, server):
        task: asyncio.Task[Any] = asyncio.create_task(client.send(request_to(server.url, timeout_s=2.0)))
        await arrived.wait()
        async with asyncio.timeout(1.0):
            await cancelled(task)
        await closed.wait()


@on_a_loop
async def test_a_stream_cancelled_before_it_began_is_closed_when_it_begins(make: MakeClient) -> None:
    closed, arrived, gone = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> None:
        arrived.set()
        await gone.wait()
        with contextlib.suppress(ConnectionError):  # most clients are gone already
            await exchange.send(head("transfer-encoding: chunked"))
            await exchange.chunk(b"data: one\n\n")
        await exchange.closed()
        closed.set()

    async with opened(make, script) as (client, server):
        stream = client.stream(request_to(server.url))
        task = asyncio.create_task(stream.__aenter__())  # type: ignore[arg-type]
        await arrived.wait()
        await cancelled(task)
        gone.set()
        await closed.wait()


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# --- Failures ---------------------------------------------------------------------------------------------------------


async def silence(exchange: Exchange) -> None:
    await exchange.closed()


def stalling(*pieces: bytes) -> Script:
    async def script(exchange: Exchange) -> None:
        for piece in pieces:
            await exchange.send(piece)
        await exchange.closed()

    return script


def resetting(*pieces: bytes) -> Script:
    async def script(exchange: Exchange) -> None:
        for piece in pieces:
            await exchange.send(piece)
        await asyncio.sleep(0.05)  # so that a reset does not overtake what was sent
        exchange.reset()

    return script


@pytest.mark.parametrize("pieces", [(), (head("content-length: 9"), b"abc")], ids=["headers", "body"])
@on_a_loop
async def test_an_answer_that_does_not_come_is_a_timeout(make: MakeClient, pieces: tuple[bytes, ...]) -> None:
    failure = await failure_of(make, stalling(*pieces), timeout_s=SHORT_S)

    assert failure.result == "timeout"


@on_a_loop
async def test_a_body_that_trickles_for_ever_is_a_timeout(make: MakeClient) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(head("transfer-encoding: chunked"))
        while True:
            await exchange.chunk(b"a")
            await asyncio.sleep(SHORT_S / 10)

    assert (await failure_of(make, script, timeout_s=SHORT_S)).result == "timeout"


@on_a_loop
async def test_a_stream_without_headers_is_a_timeout(make: MakeClient) -> None:
    async with opened(make, silence) as (client, server):
        with pytest.raises(UpstreamError) as caught:
            async with client.stream(request_to(server.url, first_byte_timeout_s=SHORT_S)):
                pytest.fail("there was nothing to enter")

    assert caught.value.result == "timeout"


@on_a_loop
async def test_a_stream_that_falls_silent_is_a_timeout(make: MakeClient) -> None:
    script = stalling(head("transfer-encoding: chunked"), b"3\r\nabc\r\n")

    received, failure = await stream_failure_of(make, script, timeout_s=SHORT_S)

    assert (received, failure.result) == (b"abc", "timeout")


@on_a_loop
async def test_a_long_stream_is_no_timeout_while_it_goes_on(make: MakeClient) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(head("transfer-encoding: chunked"))
        for _ in range(6):
            await exchange.chunk(b"a")
            await asyncio.sleep(SHORT_S / 2)
        await exchange.chunk(b"")

    request = functools.partial(request_to, timeout_s=SHORT_S, first_byte_timeout_s=SHORT_S)
    async with opened(make, script) as (client, server), client.stream(request(server.url)) as stream:
        assert b"".join([chunk async for chunk in stream.chunks()]) == b"a" * 6


ENDINGS = {
    "closed before the headers": replying(),
    "reset before the headers": resetting(),
    "cut before content-length": replying(head("content-length: 9"), b"abc"),
    "cut inside a chunk": replying(head("transfer-encoding: chunked"), b"9\r\nabc"),
    "cut before the last chunk": replying(head("transfer-encoding: chunked"), b"3\r\nabc\r\n"),
    "reset inside the body": resetting(head("content-length: 9"), b"abc"),
}


@pytest.mark.parametrize("ending", ENDINGS)
@on_a_loop
async def test_an_answer_that_ends_early_is_a_failed_connection(make: MakeClient, ending: str) -> None:
    whole = await failure_of(make, ENDINGS[ending])
    received, streamed = await stream_failure_of(make, ENDINGS[ending])

    assert whole.result == streamed.result == "connection"
    assert received in (b"", b"abc")


@on_a_loop
async def test_nothing_is_tried_twice(make: MakeClient) -> None:
    async with opened(make, replying()) as (client, server):
        with pytest.raises(UpstreamError):
            await client.send(request_to(server.url))

    assert len(server.requests) == 1


@on_a_loop
async def test_a_refused_connection_is_a_failed_connection(make: MakeClient) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        client = make(LIMITS)
        with pytest.raises(UpstreamError) as whole:
            await client.send(request_to(url))
        with pytest.raises(UpstreamError) as streamed:
            async with client.stream(request_to(url)):
                pytest.fail("there was nothing to enter")
        await client.close()

    assert whole.value.result == streamed.value.result == "connection"
    assert KEY not in f"{whole.value}{streamed.value}"


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH_9.9\r\n\r\n", b"HTTP/1.1 abc OK\r\n\r\n", b"\0\1\2\3\r\n\r\n"])
@on_a_loop
async def test_what_is_no_http_is_malformed(make: MakeClient, said: bytes) -> None:
    failure = await failure_of(make, replying(said))

    assert failure.result == "malformed"
    assert "\n" not in str(failure)


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1"])
@on_a_loop
async def test_an_address_that_is_none_is_unavailable(make: MakeClient, url: str) -> None:
    client = make(LIMITS)
    with pytest.raises(UpstreamError, match="base_url") as caught:
        await client.send(request_to(url))
    await client.close()

    assert caught.value.result == "unavailable"


@on_a_loop
async def test_a_header_that_cannot_be_sent_is_not_shown(make: MakeClient) -> None:
    async with opened(make, replying(answer(b"{}"))) as (client, server):
        request = UpstreamRequest(server.url, {"authorization": f"Bearer {KEY}\r\nx: y"}, b"{}", 1.0, 1.0)
        with pytest.raises(UpstreamError) as caught:
            await client.send(request)

    assert caught.value.result == "unavailable"
    assert KEY not in str(caught.value)
    assert caught.value.__suppress_context__


# --- Compression ------------------------------------------------------------------------------------------------------


@on_a_loop
async def test_a_compressed_body_is_decompressed(make: MakeClient) -> None:
    packed = answer(gzip.compress(b'{"a": 1}'), "content-encoding: gzip")
    async with opened(make, replying(packed, keep=True)) as (client, server):
        assert (await client.send(request_to(server.url))).body == b'{"a": 1}'
        async with client.stream(request_to(server.url)) as stream:
            assert b"".join([chunk async for chunk in stream.chunks()]) == b'{"a": 1}'


@on_a_loop
async def test_a_bomb_is_malformed(make: MakeClient) -> None:
    bomb = answer(gzip.compress(bytes(64 * CAP)), "content-encoding: gzip")

    whole = await failure_of(make, replying(bomb))
    received, streamed = await stream_failure_of(make, replying(bomb))

    assert whole.result == streamed.result == "malformed"
    assert len(received) <= CAP


@on_a_loop
async def test_a_body_without_end_is_malformed(make: MakeClient) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(head("transfer-encoding: chunked"))
        while True:
            await exchange.chunk(bytes(32 * KIB))

    assert (await failure_of(make, script)).result == "malformed"


@on_a_loop
async def test_a_body_that_cannot_be_decompressed_is_malformed(make: MakeClient) -> None:
    broken = answer(b"not gzip at all", "content-encoding: gzip")

    assert (await failure_of(make, replying(broken))).result == "malformed"
    assert (await stream_failure_of(make, replying(broken)))[1].result == "malformed"


@on_a_loop
async def test_a_second_answer_that_nobody_asked_for_is_never_taken_for_one(make: MakeClient) -> None:
    surplus = answer(b'{"a": 2}', "x-surplus: yes")
    async with opened(make, replying(answer(b'{"a": 1}') + surplus, keep=True)) as (client, server):
        first = await client.send(request_to(server.url))
        await asyncio.sleep(0.05)
        second = await client.send(request_to(server.url))

    assert first.body == second.body == b'{"a": 1}'
    assert "x-surplus" not in first.headers
    assert "x-surplus" not in second.headers
