"""An HTTP server on loopback that does to each request exactly what a test tells it to, byte for byte.

Tests write what a provider might send, also what no HTTP library would send on purpose, and see when a client went.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = ["Exchange", "ScriptedServer", "answer", "head"]

ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset
PATIENCE_S = 5.0


@dataclass
class Exchange:
    """One request, and the means to answer it. `connection` counts the connections of the server from 0."""

    target: str
    headers: dict[str, str]
    body: bytes
    connection: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def chunk(self, data: bytes) -> None:
        """One chunk of a chunked body; an empty one ends it."""
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def reset(self) -> None:
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        self.writer.transport.abort()

    async def closed(self) -> None:
        """Returns when the client has closed the connection; fails after a few seconds."""
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(ConnectionError):
                while await self.reader.read(65536):
                    pass


Script: TypeAlias = Callable[[Exchange], Awaitable[bool | None]]


@dataclass
class ScriptedServer:
    """Runs `script` for each request; a script that returns True keeps the connection for another request."""

    script: Script
    requests: list[Exchange] = field(default_factory=list)
    connections: int = 0
    url: str = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["ScriptedServer"]:
        """Listens on a free port of loopback; ends every connection at the end."""
        tasks: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._serve(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in list(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self.connections = self.connections, self.connections + 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self.script(await self._read(reader, writer, number)):
                    pass
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        finally:
            writer.transport.abort()

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> Exchange:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        exchange = Exchange(first.split(" ")[1], headers, body, number, reader, writer)
        self.requests.append(exchange)
        return exchange


def head(*headers: str, status: str = "200 OK") -> bytes:
    """The first lines of an answer."""
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode("latin-1")


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A whole answer."""
    return head(f"content-length: {len(body)}", *headers, status=status) + body
