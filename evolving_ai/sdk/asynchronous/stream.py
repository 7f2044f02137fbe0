"""A stream of chunks, asynchronously."""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

import httpx

from evolving_ai.sdk.answers import broken_stream
from evolving_ai.sdk.open_stream import OpenStream
from evolving_ai.sdk.results import ChatResult
from evolving_ai.sdk.streamed_chat import ChatChunk

__all__ = ["ChatStream"]


class ChatStream(OpenStream):
    """`async for chunk in stream`; afterwards `stream.result` has the figures.

    Use it as `async with await framework.ai.chat(..., stream=True) as stream`, or `aclose` it when you stop early:
    that closes the connection, and the platform cancels the model's answer. An ApiError ends the stream, too.
    """

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response)
        self._parts: AsyncIterator[bytes] = response.aiter_bytes()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ChatChunk:
        try:
            chunk = None if self._is_closed else await self._next()
        except BaseException:
            await self.aclose()
            raise
        if chunk is None:
            await self.aclose()
            raise StopAsyncIteration
        return chunk

    async def _next(self) -> ChatChunk | None:
        while (chunk := self._chat.next_chunk()) is None:
            try:
                self._chat.feed(await anext(self._parts))
            except StopAsyncIteration:
                self._whole = self._chat.end()
                return None
            except httpx.RequestError as exc:
                raise broken_stream(exc, self.decision_id) from exc
        return chunk

    async def collect(self) -> ChatResult:
        """Take what is left of the stream, and give the whole answer."""
        async for _ in self:
            pass
        return self.result

    async def aclose(self) -> None:
        """Close the connection unless the answer is whole; twice is no harm."""
        self._is_closed = True
        await self._response.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
