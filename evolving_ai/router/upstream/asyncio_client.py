"""The HTTP client that the gateway uses: connections on the event loop itself, kept and used again.

A client with a thread of its own (pyreqwest) costs less where the loop has little to do, but the gateway's loop
computes most of the time, and then the two wait for each other's turn at the interpreter for every answer. Measured in
the gateway, a request costs a third less with this one (`.github/adr/0006-http-client-on-the-event-loop.md`).
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cached_property
from typing import NamedTuple
from urllib.parse import urlsplit

from evolving_ai._common.deadlines import Deadlines
from evolving_ai.domain.outcome import AttemptResult
from evolving_ai.errors import UpstreamError
from evolving_ai.router.ports import UpstreamRequest, UpstreamResponse, UpstreamStream
from evolving_ai.router.upstream.http_connection import HttpConnection
from evolving_ai.router.upstream.limits import DEFAULT_LIMITS, UpstreamLimits

__all__ = ["AsyncioClient"]

_IDLE_S = 60.0
_MOST_IDLE = 256
_MAX_HEADS = 256
_SCHEMES = {"http": 80, "https": 443}
_FORBIDDEN = frozenset("\r\n\0")


class _Place(NamedTuple):
    """Where a request goes."""

    scheme: str
    host: str
    port: int


class _Head(NamedTuple):
    """A place, and the head of requests to there but for the length of the body."""

    place: _Place
    head: bytes


class AsyncioClient:
    """Keeps the promises of `router.ports.UpstreamClient`. Use it from one event loop."""

    def __init__(self, limits: UpstreamLimits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._idle: dict[_Place, list[HttpConnection]] = {}
        self._deadlines = Deadlines()
        self._heads: dict[tuple[str, tuple[tuple[str, str], ...]], _Head] = {}

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        return context

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        loop = asyncio.get_running_loop()
        head = self._head(request)
        connection = self._kept(head.place, loop)
        task = asyncio.current_task()
        expired: list[bool] = []

        def expire() -> None:
            expired.append(True)
            if task is not None:
                task.cancel()

        deadline = self._deadlines.after(request.timeout_s, expire)
        try:
            if connection is None:
                connection = await self._connected(head.place, loop)
            connection.begin(_with_length(head, request.body), request.body, is_whole=True)
            body = await connection.whole()
        except asyncio.CancelledError:
            if connection is not None:
                connection.abort()
            if expired and task is not None and task.uncancel() == 0:
                raise UpstreamError(AttemptResult.TIMEOUT, f"no answer within {request.timeout_s:g} s") from None
            raise
        finally:
            self._deadlines.cancel(deadline)
        response = UpstreamResponse(connection.status, connection.headers, body)
        self._keep(head.place, connection, loop)
        return response

    @asynccontextmanager
    async def stream(self, request: UpstreamRequest) -> AsyncGenerator[UpstreamStream, None]:
        loop = asyncio.get_running_loop()
        head = self._head(request)
        connection = self._kept(head.place, loop)
        try:
            try:
                async with asyncio.timeout(request.first_byte_timeout_s):
                    if connection is None:
                        connection = await self._connected(head.place, loop)
                    connection.begin(_with_length(head, request.body), request.body, is_whole=False)
                    await connection.head()
            except TimeoutError:
                text = f"no headers within {request.first_byte_timeout_s:g} s"
                raise UpstreamError(AttemptResult.TIMEOUT, text) from None
            yield _Stream(connection, request.timeout_s)
        finally:
            if connection is not None:
                self._keep(head.place, connection, loop)

    async def close(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.abort()
        self._idle.clear()

    # --- Connections --------------------------------------------------------------------------------------------------

    def _kept(self, place: _Place, loop: asyncio.AbstractEventLoop) -> HttpConnection | None:
        """An idle connection to there that is still open; the one used last, so that the others can grow old."""
        idle = self._idle.get(place)
        while idle:
            connection = idle.pop()
            if connection.is_open and loop.time() - connection.idle_since_s < _IDLE_S:
                return connection
            connection.abort()
        return None

    def _keep(self, place: _Place, connection: HttpConnection, loop: asyncio.AbstractEventLoop) -> None:
        if not connection.may_be_reused():
            connection.abort()
            return
        connection.idle_since_s = now_s = loop.time()
        idle = self._idle.setdefault(place, [])
        idle.append(connection)
        while len(idle) > _MOST_IDLE or now_s - idle[0].idle_since_s > _IDLE_S:
            idle.pop(0).abort()

    async def _connected(self, place: _Place, loop: asyncio.AbstractEventLoop) -> HttpConnection:
        tls = self._tls if place.scheme == "https" else None
        try:
            async with asyncio.timeout(self._limits.connect_timeout_s):
                _, connection = await loop.create_connection(
                    lambda: HttpConnection(loop, self._limits), place.host, place.port, ssl=tls
                )
        except TimeoutError:
            text = f"no connection within {self._limits.connect_timeout_s:g} s"
            raise UpstreamError(AttemptResult.TIMEOUT, text) from None
        except (OSError, UnicodeError) as exc:  # ssl.SSLError among them; a host that cannot be a name
            reason = getattr(exc, "strerror", None) or type(exc).__name__
            raise UpstreamError(AttemptResult.CONNECTION, f"the connection failed ({reason})") from None
        return connection

    def _head(self, request: UpstreamRequest) -> _Head:
        """The head of a request; they repeat, and so need not be made for each."""
        key = (request.url, tuple(request.headers.items()))
        known = self._heads.get(key)
        if known is None:
            known = _made_head(request.url, request.headers)
            if len(self._heads) < _MAX_HEADS:
                self._heads[key] = known
        return known


class _Stream:
    """An answer whose body is still coming."""

    def __init__(self, connection: HttpConnection, silence_s: float) -> None:
        self.status = connection.status
        self.headers: Mapping[str, str] = connection.headers
        self._connection = connection
        self._silence_s = silence_s

    async def chunks(self) -> AsyncIterator[bytes]:
        while True:
            try:
                async with asyncio.timeout(self._silence_s):
                    chunk = await self._connection.chunk()
            except TimeoutError:
                self._connection.abort()
                text = f"nothing more came within {self._silence_s:g} s"
                raise UpstreamError(AttemptResult.TIMEOUT, text) from None
            if not chunk:
                return
            yield chunk


def _made_head(url: str, headers: Mapping[str, str]) -> _Head:
    unsendable = UpstreamError(
        AttemptResult.UNAVAILABLE, "the request cannot be sent: check the provider's base_url and the form of its key"
    )
    try:
        parts = urlsplit(url)
        place = _Place(parts.scheme, parts.hostname or "", parts.port or _SCHEMES[parts.scheme])
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        shown = f"[{place.host}]" if ":" in place.host else place.host
        named = shown if parts.port is None else f"{shown}:{place.port}"
        lines = [f"POST {path} HTTP/1.1", f"host: {named}", "user-agent: evolving-ai", "accept-encoding: gzip"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join(lines).encode("latin-1")
    except (ValueError, KeyError):  # its text may hold the headers, and so the key
        raise unsendable from None
    if not place.host or any(_FORBIDDEN & set(line) for line in lines) or " " in path:
        raise unsendable from None
    return _Head(place, head)


def _with_length(head: _Head, body: bytes) -> bytes:
    return b"%b\r\ncontent-length: %d\r\n\r\n" % (head.head, len(body))
