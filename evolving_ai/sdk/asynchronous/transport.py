"""Calls sent with httpx's asynchronous client; `sdk.synchronous.transport` is its twin."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx

from evolving_ai.errors import UsageError
from evolving_ai.sdk.answers import client_settings, connection_failure, read_failure, read_result, timeout_of
from evolving_ai.sdk.call import ApiCall
from evolving_ai.sdk.options import ClientOptions
from evolving_ai.sdk.retries import Failure, RetryPolicy

__all__ = ["AsyncTransport"]

_Result = TypeVar("_Result")


class AsyncTransport:
    """Sends calls, again where `sdk.retries` allows; connections are opened on the first call and kept.

    It belongs to the event loop of its first call; UsageError in another one, and once it is closed. `network`
    replaces the network (for tests), `pause` the waits between attempts.
    """

    def __init__(
        self,
        options: ClientOptions,
        *,
        network: httpx.AsyncBaseTransport | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.options = options
        self._network = network
        self._pause = pause
        self._retries = RetryPolicy(options.max_retries)
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False

    async def send(self, call: ApiCall[_Result]) -> _Result:
        """The result of a call; ApiError when it fails."""
        return read_result(call, await self._answer(call, is_stream=False))

    async def open(self, call: ApiCall[Any]) -> httpx.Response:
        """The answer to a call as soon as it begins; it must be closed. ApiError when it fails."""
        return await self._answer(call, is_stream=True)

    async def aclose(self) -> None:
        """Close every connection; nothing can be sent any more."""
        client, self._client, self._is_closed = self._client, None, True
        if client is not None:
            await client.aclose()

    async def _answer(self, call: ApiCall[Any], *, is_stream: bool) -> httpx.Response:
        client = self._opened()
        attempt = 0
        while True:
            answer = await self._attempt(client, call, is_stream)
            if isinstance(answer, httpx.Response):
                return answer
            wait_s = self._retries.wait_s(answer, attempt, call.effect)
            if wait_s is None:
                raise answer.error
            await self._pause(wait_s)
            attempt += 1

    async def _attempt(
        self, client: httpx.AsyncClient, call: ApiCall[Any], is_stream: bool
    ) -> httpx.Response | Failure:
        request = client.build_request(
            call.method,
            self.options.base_url + call.path,
            content=call.content,
            headers=call.all_headers("text/event-stream" if is_stream else None),
            timeout=timeout_of(self.options, call),
        )
        try:
            response = await client.send(request, stream=is_stream)
            if call.is_answered(response.status_code):
                return response
            await response.aread()  # of a stream: its error is short
        except httpx.RequestError as exc:
            return connection_failure(exc, self.options)
        return read_failure(response)

    def _opened(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        if self._is_closed:
            raise UsageError("this framework is closed: make another one")
        if self._client is None:
            self._client = httpx.AsyncClient(transport=self._network, **client_settings(self.options))
            self._loop = loop
        if self._loop is not loop:
            raise UsageError("this framework is of another event loop: make one in each, or use SyncEvolutionFramework")
        return self._client
