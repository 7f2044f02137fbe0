"""The fast HTTP client towards providers: pyreqwest (hyper and rustls on a thread of their own).

Everything that can be left to the Rust side is: a whole answer costs three awaits and no copy but one. Two ways of
pyreqwest 0.15 are dealt with here. Its awaits may return a result although they were cancelled: that is looked at
after each. And a call that is cancelled before its answer began is no longer waited for, but goes on in its thread:
its connection is closed when the first bytes come, or when `timeout_s` (of a stream: `UpstreamLimits.silence_s`) is
over.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cached_property

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import BuilderError, DecodeError, DetailedPyreqwestError, NetworkError, PyreqwestError
from pyreqwest.response import Response, ResponseBodyReader

from evolving_ai.domain.outcome import AttemptResult
from evolving_ai.errors import UpstreamError
from evolving_ai.router.ports import UpstreamRequest, UpstreamResponse, UpstreamStream
from evolving_ai.router.upstream.limits import DEFAULT_LIMITS, UpstreamLimits

__all__ = ["PyreqwestClient"]

_FIRST_READ_BYTES = 65536
"""Read at once: as much as pyreqwest holds ready, so that most answers need no second read."""
_MAX_DURATIONS = 256
_BROKEN_TRANSFER = "error reading a body from connection"
"""How hyper calls an answer that ended early; pyreqwest reports it as a body that cannot be decoded."""
_BROKEN_BODY = "request or response body error"
"""How reqwest calls a body that came whole but cannot be decompressed, when it is read as a stream."""


class PyreqwestClient:
    """Keeps the promises of `router.ports.UpstreamClient`, but for the delay that the module describes.

    Connects lazily; use it from one event loop.
    """

    def __init__(self, limits: UpstreamLimits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._durations: dict[float, timedelta] = {}

    @cached_property
    def _client(self) -> Client:
        limits = self._limits
        return (
            ClientBuilder()
            .follow_redirects(False)
            .referer(False)
            .no_proxy()
            .connect_timeout(timedelta(seconds=limits.connect_timeout_s))
            .read_timeout(timedelta(seconds=limits.silence_s))
            .user_agent("evolving-ai")
            .build()
        )

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        cancellations = _cancellations()
        try:
            builder = self._client.post(request.url).headers(request.headers).body_bytes(request.body)
            async with builder.timeout(self._duration(request.timeout_s)).build_streamed() as response:
                body = await self._whole(response.body_reader)
        except (PyreqwestError, ValueError) as exc:
            _obey_cancellation(cancellations)
            raise _failure(exc) from None  # its text may hold the headers, and so the key
        _obey_cancellation(cancellations)
        return UpstreamResponse(response.status, response.headers, body)

    async def _whole(self, reader: ResponseBodyReader) -> bytes:
        first = await reader.read(_FIRST_READ_BYTES)
        if first is None:
            return b""
        body = first.to_bytes()
        if len(body) == _FIRST_READ_BYTES:
            rest = await reader.read(max(1, self._limits.max_body_bytes + 1 - _FIRST_READ_BYTES))
            body += b"" if rest is None else rest.to_bytes()
        self._limits.check(len(body))
        return body

    @asynccontextmanager
    async def stream(self, request: UpstreamRequest) -> AsyncGenerator[UpstreamStream, None]:
        cancellations = _cancellations()
        try:
            builder = self._client.post(request.url).headers(request.headers).body_bytes(request.body)
            # Without a limit of 0 nothing is handed over before 64 KiB have come.
            call = builder.streamed_read_buffer_limit(0).build_streamed()
            async with asyncio.timeout(request.first_byte_timeout_s):
                response = await call.__aenter__()
        except TimeoutError:
            text = f"no headers within {request.first_byte_timeout_s:g} s"
            raise UpstreamError(AttemptResult.TIMEOUT, text) from None
        except (PyreqwestError, ValueError) as exc:
            raise _failure(exc) from None
        try:
            _obey_cancellation(cancellations)
            yield _PyreqwestStream(response, request.timeout_s, self._limits)
        finally:
            await call.__aexit__(None, None, None)

    async def close(self) -> None:
        if "_client" in vars(self):  # made with the first request
            await self._client.close()

    def _duration(self, seconds: float) -> timedelta:
        """A timedelta: timeouts repeat, and so need not be made for each request."""
        known = self._durations.get(seconds)
        if known is None:
            known = timedelta(seconds=seconds)
            if len(self._durations) < _MAX_DURATIONS:
                self._durations[seconds] = known
        return known


class _PyreqwestStream:
    """An answer whose body is still coming."""

    def __init__(self, response: Response, silence_s: float, limits: UpstreamLimits) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self._reader = response.body_reader
        self._silence_s = silence_s
        self._limits = limits

    async def chunks(self) -> AsyncIterator[bytes]:
        size, cancellations = 0, _cancellations()
        while True:
            try:
                async with asyncio.timeout(self._silence_s):
                    chunk = await self._reader.read_chunk()
            except TimeoutError:
                text = f"nothing more came within {self._silence_s:g} s"
                raise UpstreamError(AttemptResult.TIMEOUT, text) from None
            except PyreqwestError as exc:
                raise _failure(exc) from None
            _obey_cancellation(cancellations)
            if chunk is None:
                return
            size += len(chunk)
            self._limits.check(size)
            yield chunk.to_bytes()


def _cancellations() -> int:
    """How often somebody has asked the running task to end."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def _obey_cancellation(before: int) -> None:
    """Raise the cancellation that pyreqwest took for answered."""
    if _cancellations() > before:
        raise asyncio.CancelledError


def _failure(exc: PyreqwestError | ValueError) -> UpstreamError:
    """What went wrong, without anything that was sent."""
    if isinstance(exc, BuilderError) or not isinstance(exc, PyreqwestError):
        return UpstreamError(
            AttemptResult.UNAVAILABLE,
            "the request cannot be sent: check the provider's base_url and the form of its key",
        )
    causes = _causes(exc)
    cause = causes[-1] if causes else type(exc).__name__  # the outer ones name the address only
    if isinstance(exc, TimeoutError):
        return UpstreamError(AttemptResult.TIMEOUT, f"no answer in time ({cause})")
    is_broken = isinstance(exc, DecodeError) or (_BROKEN_BODY in causes and not isinstance(exc, NetworkError))
    if is_broken and _BROKEN_TRANSFER not in causes:
        return UpstreamError(AttemptResult.MALFORMED, f"the answer is no valid HTTP ({cause})")
    return UpstreamError(AttemptResult.CONNECTION, f"the connection failed ({cause})")


def _causes(exc: PyreqwestError) -> list[str]:
    causes = exc.details["causes"] if isinstance(exc, DetailedPyreqwestError) else None
    return [cause["message"] for cause in causes or ()]
