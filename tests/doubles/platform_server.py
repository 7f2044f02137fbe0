"""A platform that answers as a test tells it: a real HTTP server on loopback, with the server's own wire models.

Requests are checked by the models of `serving.api`, and answers are made of them, so what passes here fits the gateway.
"""

import asyncio
import json
import socket
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from tests.doubles.platform_routes import DECISION_ID, build_platform

__all__ = [
    "HEADERS",
    "Broken",
    "Fault",
    "PlatformServer",
    "Request",
    "Scripted",
    "Stalled",
    "Stream",
    "running_platform",
]

HEADERS = {
    "x-request-id": DECISION_ID,
    "x-evolving-dna": "d" * 12,
    "x-evolving-snapshot": "5" * 12,
    "x-evolving-target": "acme/small",
    "x-evolving-attempts": "2",
}


@dataclass(frozen=True)
class Request:
    """What the server was asked."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Scripted:
    """An answer as it stands."""

    status: int
    document: Any
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stalled:
    """No answer at all, until the client leaves."""


@dataclass(frozen=True)
class Broken:
    """The connection is cut before the body of an answer went out."""


@dataclass(frozen=True)
class Stream:
    """Server-sent events, piece by piece; then the end, or (`is_cut`) a cut connection, or (`stalls`) silence."""

    pieces: tuple[bytes, ...]
    is_cut: bool = False
    stalls: bool = False
    headers: Mapping[str, str] = field(default_factory=lambda: HEADERS)


Fault = Scripted | Stalled | Broken | Stream


class PlatformServer:
    """`script` is taken from its front, one for each request; with none left, requests are answered well."""

    def __init__(self) -> None:
        self.url = ""
        self.script: deque[Fault] = deque()
        self.seen: list[Request] = []
        self.was_asked = threading.Event()
        self.client_left = threading.Event()
        self.connections: set[tuple[str, int]] = set()
        self._app = build_platform()

    def reset(self) -> None:
        """Forget what was seen and scripted."""
        self.script.clear()
        self.seen.clear()
        self.connections.clear()
        self.client_left.clear()
        self.was_asked.clear()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.connections.add(scope["client"])
        path, query = scope["raw_path"].decode(), scope["query_string"].decode()
        self.seen.append(Request(scope["method"], path, query, headers, json.loads(body) if body else None))
        self.was_asked.set()
        if self.script:
            await self._misbehave(self.script.popleft(), receive, send)
            return
        await self._app(scope, _once(body), send)

    async def _misbehave(self, fault: Fault, receive: Any, send: Any) -> None:
        if isinstance(fault, Scripted):
            is_text = isinstance(fault.document, str)
            content = fault.document.encode() if is_text else json.dumps(fault.document).encode()
            await _start(send, fault.status, {**fault.headers, "content-length": str(len(content))})
            await send({"type": "http.response.body", "body": content})
        elif isinstance(fault, Stream):
            await self._stream(fault, receive, send)
        elif isinstance(fault, Stalled):
            await self._until_left(receive)
        else:
            await _start(send, 200, {"content-length": "9"})
            raise _CutError

    async def _stream(self, stream: Stream, receive: Any, send: Any) -> None:
        await _start(send, 200, {**stream.headers, "content-type": "text/event-stream"})
        for piece in stream.pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        if stream.stalls:
            await self._until_left(receive)
        elif stream.is_cut:
            raise _CutError
        else:
            await send({"type": "http.response.body", "body": b""})

    async def _until_left(self, receive: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.client_left.set()


class _CutError(Exception):
    """Makes the server close the connection."""


async def _start(send: Any, status: int, headers: Mapping[str, str]) -> None:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})


def _once(body: bytes) -> Any:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


@contextmanager
def running_platform() -> Iterator[PlatformServer]:
    """A platform on a free port; it is gone at the end of the block."""
    platform = PlatformServer()
    with served(platform) as url:
        platform.url = url
        yield platform


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The address of an ASGI application on a free port of loopback, for the block."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()  # so a client that comes before the server has started waits
        config = uvicorn.Config(
            app, log_config=None, lifespan="off", ws="none", loop="asyncio", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
