"""An answer that streams in over an open connection, but for how it is waited for."""

import httpx

from evolving_ai.errors import UsageError
from evolving_ai.sdk.results import ChatResult
from evolving_ai.sdk.streamed_chat import StreamedChat

__all__ = ["OpenStream"]


class OpenStream:
    """What the asynchronous and the synchronous stream know alike."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._chat = StreamedChat(response.headers)
        self._whole: ChatResult | None = None
        self._is_closed = False

    @property
    def decision_id(self) -> str:
        """The key of feedback and of explain, known from the beginning."""
        return self._chat.decision_id

    @property
    def result(self) -> ChatResult:
        """The whole answer with its figures; UsageError before the stream has ended."""
        if self._whole is None:
            raise UsageError("the stream has not ended: take all its chunks first, or collect() the rest")
        return self._whole
