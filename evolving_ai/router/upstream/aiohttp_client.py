"""The portable HTTP client towards providers: aiohttp. Twice the processor time of pyreqwest, and no young parts."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import (
    ClientError,
    ClientPayloadError,
    ClientResponse,
    ClientResponseError,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    InvalidURL,
    NonHttpUrlClientError,
    TCPConnector,
)
from aiohttp.http_exceptions import ContentEncodingError

from evolving_ai.domain.outcome import AttemptResult
from evolving_ai.errors import UpstreamError
from evolving_ai.router.ports import UpstreamRequest, UpstreamResponse, UpstreamStream
from evolving_ai.router.upstream.limits import DEFAULT_LIMITS, UpstreamLimits

__all__ = ["AiohttpClient"]


class AiohttpClient:
    """Keeps the promises of `router.ports.UpstreamClient`. Its session opens with the first request, on that loop."""

    def __init__(self, limits: UpstreamLimits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._opened: ClientSession | None = None

    def _session(self) -> ClientSession:
        if self._opened is None:
            self._opened = ClientSession(
                connector=TCPConnector(limit=0),
                cookie_jar=DummyCookieJar(),
                headers={"user-agent": "evolving-ai"},
                trust_env=False,
            )
        return self._opened

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        timeout = ClientTimeout(total=request.timeout_s, sock_connect=self._limits.connect_timeout_s)
        try:
            async with self._session().post(
                request.url, data=request.body, headers=request.headers, allow_redirects=False, timeout=timeout
            ) as response:
                parts, size = [], 0
                async for part in response.content.iter_any():
                    size += len(part)
                    self._limits.check(size)
                    parts.append(part)
                return UpstreamResponse(response.status, _headers(response), b"".join(parts))
        except (ClientError, TimeoutError, OSError, ValueError) as exc:
            raise _failure(exc) from None  # its text may hold the headers, and so the key

    @asynccontextmanager
    async def stream(self, request: UpstreamRequest) -> AsyncGenerator[UpstreamStream, None]:
        timeout = ClientTimeout(total=None, sock_connect=self._limits.connect_timeout_s)
        try:
            async with asyncio.timeout(request.first_byte_timeout_s):
                response = await self._session().post(
                    request.url, data=request.body, headers=request.headers, allow_redirects=False, timeout=timeout
                )
        except (ClientError, TimeoutError, OSError, ValueError) as exc:
            raise _failure(exc) from None
        try:
            yield _AiohttpStream(response, request.timeout_s, self._limits)
        finally:
            response.close()  # gives the connection back when it was read to its end

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.close()


class _AiohttpStream:
    """An answer whose body is still coming."""

    def __init__(self, response: ClientResponse, silence_s: float, limits: UpstreamLimits) -> None:
        self.status = response.status
        self.headers = _headers(response)
        self._content = response.content
        self._silence_s = silence_s
        self._limits = limits

    async def chunks(self) -> AsyncIterator[bytes]:
        size = 0
        while True:
            try:
                async with asyncio.timeout(self._silence_s):
                    chunk = await self._content.readany()
            except (ClientError, TimeoutError, OSError) as exc:
                raise _failure(exc) from None
            if not chunk:
                return
            size += len(chunk)
            self._limits.check(size)
            yield chunk


def _headers(response: ClientResponse) -> Mapping[str, str]:
    """Names in lower case; the first of several values."""
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        headers.setdefault(name.lower(), value)
    return headers


def _failure(exc: Exception) -> UpstreamError:
    """What went wrong, without anything that was sent."""
    if isinstance(exc, TimeoutError):
        return UpstreamError(AttemptResult.TIMEOUT, "no answer in time")
    if isinstance(exc, InvalidURL | NonHttpUrlClientError) or not isinstance(exc, ClientError | OSError):
        return UpstreamError(
            AttemptResult.UNAVAILABLE,
            "the request cannot be sent: check the provider's base_url and the form of its key",
        )
    if isinstance(exc, ClientResponseError):
        return UpstreamError(AttemptResult.MALFORMED, "the answer is no valid HTTP")
    if isinstance(exc, ClientPayloadError) and isinstance(exc.__cause__, ContentEncodingError):
        return UpstreamError(AttemptResult.MALFORMED, "the answer cannot be decompressed")
    reason = exc.strerror if isinstance(exc, OSError) else None
    return UpstreamError(AttemptResult.CONNECTION, f"the connection failed ({reason or type(exc).__name__})")
