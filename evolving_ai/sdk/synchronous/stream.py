"""A stream of chunks, synchronously."""

from collections.abc import Iterator
from types import TracebackType
from typing import Self

import httpx

from evolving_ai.sdk.answers import broken_stream
from evolving_ai.sdk.open_stream import OpenStream
from evolving_ai.sdk.results import ChatResult
from evolving_ai.sdk.streamed_chat import ChatChunk

__all__ = ["SyncChatStream"]


class SyncChatStream(OpenStream):
    """`for chunk in stream`; afterwards `stream.result` has the figures.

    Use it as `with framework.ai.chat(..., stream=True) as stream`, or `close` it when you stop early: that closes the
    connection, and the platform cancels the model's answer. An ApiError ends the stream, too.
    """

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response)
        self._parts: Iterator[bytes] = response.iter_bytes()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ChatChunk:
        try:
            chunk = None if self._is_closed else self._next()
        except BaseException:
            self.close()
            raise
        if chunk is None:
            self.close()
            raise StopIteration
        return chunk

    def _next(self) -> ChatChunk | None:
        while (chunk := self._chat.next_chunk()) is None:
            try:
                self._chat.feed(next(self._parts))
            except StopIteration:
                self._whole = self._chat.end()
                return None
            except httpx.RequestError as exc:
                raise broken_stream(exc, self.decision_id) from exc
        return chunk

    def collect(self) -> ChatResult:
        """Take what is left of the stream, and give the whole answer."""
        for _ in self:
            pass
        return self.result

    def close(self) -> None:
        """Close the connection unless the answer is whole; twice is no harm."""
        self._is_closed = True
        self._response.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
