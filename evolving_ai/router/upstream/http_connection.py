"""One connection to a provider: HTTP/1.1 over an asyncio transport, an exchange at a time, parsed by httptools.

It has no thread of its own, so nothing competes with the event loop for the interpreter. It keeps what came until that
is asked for, stops reading from a provider that sends faster than its caller reads, and knows whether it may be reused.
"""

import asyncio
import zlib
from collections import deque
from typing import Any

import httptools

from evolving_ai.domain.outcome import AttemptResult
from evolving_ai.errors import UpstreamError
from evolving_ai.router.upstream.limits import UpstreamLimits

__all__ = ["HttpConnection"]

_HIGH_WATER_BYTES = 256 * 1024
_GZIP_OR_ZLIB = 47  # zlib finds out which of the two it is
_CODINGS = frozenset({"gzip", "x-gzip", "deflate"})


class HttpConnection(asyncio.Protocol):
    """The protocol of one connection. `begin` starts an exchange; `whole`, or `head` and then `chunk`, wait for it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: UpstreamLimits) -> None:
        self._loop = loop
        self._limits = limits
        self._transport: Any = None
        self._parser: Any = None
        self._waiter: asyncio.Future[None] | None = None
        self.status = 0
        self.headers: dict[str, str] = {}
        self.is_complete = True
        self.is_open = False
        self.idle_since_s = 0.0
        self._parts: deque[bytes] = deque()
        self._reset()

    def _reset(self) -> None:
        self.headers = {}
        self._has_head = False
        self._is_framed = False
        self._keeps_alive = False
        self._is_paused = False
        self._failure: UpstreamError | None = None
        self._decoder: Any = None
        self._is_fed = False
        self._size = 0
        self._waiting_bytes = 0
        self._parts.clear()

    # --- What the transport tells -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        if self.is_complete:
            self.abort()  # nobody asked for this
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if self._is_over():
                self.abort()  # odd bytes after an answer that is whole do not undo it
                return
            self._fail(self._failure or UpstreamError(AttemptResult.MALFORMED, "the answer is no valid HTTP"))

    def _is_over(self) -> bool:
        """Whether the answer is whole, which parsing may have made it."""
        return self.is_complete

    def eof_received(self) -> None:
        self.is_open = False  # the transport closes itself a moment later: nothing may be written any more

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if self.is_complete:
            return
        if exc is None and self._has_head and not self._is_framed:
            self._finish_body()  # an answer without a length ends with its connection
            return
        reason = "closed by the provider" if exc is None else getattr(exc, "strerror", None) or type(exc).__name__
        self._fail(UpstreamError(AttemptResult.CONNECTION, f"the connection failed ({reason})"))

    # --- What the parser tells ----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self.is_complete:
            self._keeps_alive = False  # a second answer that nobody asked for: this connection is not to be trusted

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.is_complete:
            return
        text = name.decode("latin-1").lower()
        self.headers.setdefault(text, value.decode("latin-1"))
        if text in ("content-length", "transfer-encoding"):
            self._is_framed = True

    def on_headers_complete(self) -> None:
        if self.is_complete:
            return
        self.status = self._parser.get_status_code()
        if 100 <= self.status < 200:
            return  # provisional: another head follows
        self._has_head = True
        self._is_framed = self._is_framed or self.status in (204, 304)
        coding = self.headers.get("content-encoding", "identity").lower()
        if coding in _CODINGS:
            self._decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
        elif coding != "identity":
            self._fail(UpstreamError(AttemptResult.MALFORMED, f"the answer is encoded as {coding[:20]}, not asked for"))
        self._keeps_alive = self._parser.should_keep_alive()
        self._wake()

    def on_body(self, data: bytes) -> None:
        if self._failure is not None or self.is_complete:
            return
        part = data if self._decoder is None else self._decoded(data)
        self._size += len(part)
        if self._size > self._limits.max_body_bytes:
            try:
                self._limits.check(self._size)
            except UpstreamError as exc:
                self._fail(exc)
            return
        if part:
            self._parts.append(part)
            self._waiting_bytes += len(part)
            self._regulate()
            self._wake()

    def on_message_complete(self) -> None:
        if self.is_complete:
            return
        if self._has_head:
            self._finish_body()
        else:
            self.headers = {}  # of a provisional answer

    def _decoded(self, data: bytes) -> bytes:
        self._is_fed = True
        room = self._limits.max_body_bytes + 1 - self._size
        try:
            part: bytes = self._decoder.decompress(data, room)
        except zlib.error:
            self._fail(UpstreamError(AttemptResult.MALFORMED, "the answer cannot be decompressed"))
            return b""
        return part

    def _finish_body(self) -> None:
        if self._decoder is not None and self._is_fed and not self._decoder.eof and self._failure is None:
            self._fail(UpstreamError(AttemptResult.MALFORMED, "the answer cannot be decompressed: its end is missing"))
            return
        self.is_complete = True
        self._regulate()
        self._wake()

    def _fail(self, failure: UpstreamError) -> None:
        if self._failure is None:
            self._failure = failure
        self.abort()
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            if self._awaits_end and not self.is_complete and self._failure is None:
                return
            waiter.set_result(None)

    # --- What the client asks -----------------------------------------------------------------------------------------

    def begin(self, request: bytes, body: bytes, *, is_whole: bool) -> None:
        """Send a request; `is_whole`: its answer will be asked for by `whole`."""
        self._reset()
        self._awaits_end = is_whole
        self.is_complete = False
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(request + body)

    async def whole(self) -> bytes:
        """The body, once all of it is here. UpstreamError when it does not come."""
        while not self.is_complete and self._failure is None:
            await self._wait()
        if self._failure is not None:
            raise self._failure
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    async def head(self) -> None:
        """Wait for status and headers."""
        while not self._has_head and self._failure is None:
            await self._wait()
        if self._failure is not None:
            raise self._failure

    async def chunk(self) -> bytes:
        """The next piece of the body, however it was cut; nothing at its end."""
        while not self._parts and not self.is_complete and self._failure is None:
            await self._wait()
        if self._parts:
            part = self._parts.popleft()
            self._waiting_bytes -= len(part)
            self._regulate()
            return part
        if self._failure is not None:
            raise self._failure
        return b""

    def may_be_reused(self) -> bool:
        """Whether another exchange may follow."""
        is_sound = self.is_open and self._failure is None and not self._is_paused
        return is_sound and self.is_complete and self._keeps_alive

    def abort(self) -> None:
        """Close at once; what was not sent or read is gone."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self) -> None:
        self._regulate()
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _regulate(self) -> None:
        """Read on, or pause while a caller of `chunk` has enough to read."""
        is_full = not self.is_complete and not self._awaits_end and self._waiting_bytes > _HIGH_WATER_BYTES
        if is_full != self._is_paused and self.is_open:
            self._is_paused = is_full
            if is_full:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()
