"""The server of a replica on a real socket: how connections begin and end."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from evolving_ai.serving import server as module
from evolving_ai.serving.listener_host import open_listener
from evolving_ai.serving.server import ReplicaServer
from tests.integration.serving.http_load import HttpLoad

REQUEST = b"GET %s HTTP/1.1\r\nhost: test\r\n\r\n"
QUIET_S = 0.3


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers its path; `/slow` after half a second, `/never` never."""
    if scope["path"] == "/slow":
        await asyncio.sleep(0.5)
    if scope["path"] == "/never":
        await asyncio.Event().wait()
    body = scope["path"].encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def served(count: int = 1) -> AsyncIterator[tuple[int, list[ReplicaServer]]]:
    """The port, and `count` servers that share it."""
    with open_listener("127.0.0.1", 0) as listener:
        servers = [ReplicaServer(app, listener.dup()) for _ in range(count)]
        for each in servers:
            await each.start()
        try:
            yield listener.getsockname()[1], servers
        finally:
            for each in servers:
                await each.drain(quiet_s=0.0, patience_s=0.0)


class Client:
    """One connection."""

    @classmethod
    async def to(cls, port: int) -> "Client":
        self = cls()
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        return self

    def ask(self, path: bytes = b"/") -> None:
        self.writer.write(REQUEST % path)

    async def head(self) -> bytes:
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)
        await self.reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        return head

    async def is_closed(self) -> bool:
        return await asyncio.wait_for(self.reader.read(1), 5) == b""

    def close(self) -> None:
        self.writer.close()


def test_a_connection_stays_for_the_next_request() -> None:
    async def scenario() -> list[bytes]:
        async with served() as (port, _):
            client = await Client.to(port)
            heads = []
            for _ in range(3):
                client.ask()
                heads.append(await client.head())
            client.close()
            return heads

    heads = asyncio.run(scenario())

    assert all(head.startswith(b"HTTP/1.1 200 OK\r\n") and b"connection: close" not in head for head in heads)
    assert b"\r\ndate: " in heads[0]
    assert b"server:" not in heads[0]


def test_a_request_in_flight_is_answered_as_the_last_of_its_connection() -> None:
    async def scenario() -> tuple[bytes, bool, int]:
        async with served() as (port, (server,)):
            client = await Client.to(port)
            client.ask(b"/slow")
            await asyncio.sleep(0.1)
            drain = asyncio.create_task(server.drain(quiet_s=QUIET_S, patience_s=5))
            head, closed = await client.head(), await client.is_closed()
            client.close()
            return head, closed, await drain

    head, closed, cut_off = asyncio.run(scenario())

    assert b"connection: close" in head
    assert closed
    assert cut_off == 0


def test_a_request_that_comes_while_the_server_drains_is_answered() -> None:
    async def scenario() -> tuple[bytes, bool]:
        async with served() as (port, (server,)):
            used, unused = await Client.to(port), await Client.to(port)
            used.ask()
            await used.head()
            drain = asyncio.create_task(server.drain(quiet_s=QUIET_S, patience_s=5))
            await asyncio.sleep(QUIET_S / 2)
            used.ask()
            unused.ask()
            heads = await used.head() + await unused.head()
            closed = await used.is_closed() and await unused.is_closed()
            await drain
            used.close()
            unused.close()
            return heads, closed

    heads, closed = asyncio.run(scenario())

    assert heads.count(b"HTTP/1.1 200 OK") == 2
    assert heads.count(b"connection: close") == 2
    assert closed


def test_an_idle_connection_is_closed_when_it_was_quiet_for_a_while() -> None:
    async def scenario() -> tuple[float, bool]:
        async with served() as (port, (server,)):
            client = await Client.to(port)
            client.ask()
            await client.head()
            loop = asyncio.get_running_loop()
            begun_s = loop.time()
            await server.drain(quiet_s=QUIET_S, patience_s=5)
            took_s = loop.time() - begun_s
            closed = await client.is_closed()
            client.close()
            return took_s, closed

    took_s, closed = asyncio.run(scenario())

    assert closed
    assert QUIET_S <= took_s < 4 * QUIET_S


def test_what_takes_longer_than_the_patience_is_cut_off_and_counted() -> None:
    async def scenario() -> tuple[int, bytes]:
        async with served() as (port, (server,)):
            client = await Client.to(port)
            client.ask(b"/never")
            await asyncio.sleep(0.1)
            cut_off = await server.drain(quiet_s=0.1, patience_s=0.3)
            head = await client.head()
            client.close()
            return cut_off, head

    cut_off, head = asyncio.run(scenario())

    assert cut_off == 1
    assert head.startswith(b"HTTP/1.1 500 ")


def test_a_drained_server_leaves_the_socket_to_the_others() -> None:
    async def scenario() -> bytes:
        async with served(count=2) as (port, (first, _)):
            await first.drain(quiet_s=0.0, patience_s=1)
            client = await Client.to(port)
            client.ask()
            head = await client.head()
            client.close()
            return head

    assert asyncio.run(scenario()).startswith(b"HTTP/1.1 200 OK")


def test_no_request_is_lost_while_servers_replace_each_other() -> None:
    async def scenario() -> HttpLoad:
        async with served(count=2) as (port, servers):
            async with HttpLoad(port, kept=8, fresh=4, pause_s=0.001) as load:
                for old in list(servers):
                    await asyncio.sleep(0.3)
                    new = ReplicaServer(app, old._listener.dup())
                    await new.start()
                    servers.append(new)
                    await old.drain(quiet_s=QUIET_S, patience_s=5)
                await asyncio.sleep(0.3)
            return load

    load = asyncio.run(scenario())

    assert load.failed == {}
    assert load.answered > 200


def test_a_head_without_an_end_is_refused() -> None:
    async def scenario() -> bytes:
        async with served() as (port, _):
            client = await Client.to(port)
            client.writer.write(b"GET / HTTP/1.1\r\n")
            for number in range(200):
                client.writer.write(b"x-filler-%d: " % number + b"y" * 1000 + b"\r\n")
                await asyncio.sleep(0)
            answer = await asyncio.wait_for(client.reader.readline(), 5)
            client.close()
            return answer

    assert asyncio.run(scenario()).startswith(b"HTTP/1.1 431 ")


def test_a_head_that_comes_slowly_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_HEAD_TIMEOUT_S", 0.2)

    async def scenario() -> bool:
        async with served() as (port, _):
            client = await Client.to(port)
            client.writer.write(b"GET / HTTP/1.1\r\nhost:")
            closed = await client.is_closed()
            client.close()
            return closed

    assert asyncio.run(scenario())


def test_what_is_no_http_is_refused() -> None:
    async def scenario() -> bytes:
        async with served() as (port, _):
            client = await Client.to(port)
            client.writer.write(b"\x16\x03\x01 hello\r\n\r\n")
            answer = await asyncio.wait_for(client.reader.readline(), 5)
            client.close()
            return answer

    assert asyncio.run(scenario()).startswith(b"HTTP/1.1 400 ")


def test_every_process_of_a_socket_gets_connections() -> None:
    async def scenario() -> list[int]:
        async with served(count=2) as (port, servers):
            clients = [await Client.to(port) for _ in range(20)]
            for client in clients:
                client.ask()
                await client.head()
            counts = [server.connections for server in servers]
            for client in clients:
                client.close()
            return counts

    assert sum(asyncio.run(scenario())) == 20


def test_the_parts_of_uvicorn_that_the_server_builds_on_are_there() -> None:
    """A failure here names what an upgrade of uvicorn took away: see `serving/server.py`."""
    protocol = HttpToolsProtocol(Config(app, ws="none", log_config=None), ServerState(), {}, asyncio.new_event_loop())
    protocol.loop.close()
    for name in ("cycle", "timeout_keep_alive", "timeout_keep_alive_task", "timeout_keep_alive_handler", "loop"):
        assert hasattr(protocol, name), name
    for name in ("on_message_begin", "on_headers_complete", "data_received", "_unset_keepalive_if_required"):
        assert hasattr(HttpToolsProtocol, name), name
    for name in ("keep_alive", "on_response"):
        assert name in RequestResponseCycle.__init__.__annotations__, name
    for name in ("response_started", "response_complete"):
        assert name in RequestResponseCycle.__init__.__code__.co_names, name
    for name in ("connections", "tasks", "default_headers"):
        assert hasattr(ServerState(), name), name
    assert hasattr(Server, "on_tick")


def test_a_listener_that_is_taken_is_refused() -> None:
    with open_listener("127.0.0.1", 0) as listener, pytest.raises(OSError, match="in use"):
        open_listener("127.0.0.1", listener.getsockname()[1])
    assert isinstance(listener, socket.socket)
