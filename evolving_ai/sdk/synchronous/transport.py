"""Calls sent with httpx's synchronous client: the twin of `sdk.asynchronous.transport`, line by line."""

from collections.abc import Callable
from typing import Any, TypeVar

import httpx

from evolving_ai._common.pause import pause as pause_thread
from evolving_ai.errors import UsageError
from evolving_ai.sdk.answers import client_settings, connection_failure, read_failure, read_result, timeout_of
from evolving_ai.sdk.call import ApiCall
from evolving_ai.sdk.options import ClientOptions
from evolving_ai.sdk.retries import Failure, RetryPolicy

__all__ = ["SyncTransport"]

_Result = TypeVar("_Result")


class SyncTransport:
    """Sends calls, again where `sdk.retries` allows; connections are opened on the first call and kept.

    Threads may share it. UsageError once it is closed. `network` replaces the network (for tests), `pause` the waits
    between attempts.
    """

    def __init__(
        self,
        options: ClientOptions,
        *,
        network: httpx.BaseTransport | None = None,
        pause: Callable[[float], None] = pause_thread,
    ) -> None:
        self.options = options
        self._pause = pause
        self._retries = RetryPolicy(options.max_retries)
        self._client = httpx.Client(transport=network, **client_settings(options))

    def send(self, call: ApiCall[_Result]) -> _Result:
        """The result of a call; ApiError when it fails."""
        return read_result(call, self._answer(call, is_stream=False))

    def open(self, call: ApiCall[Any]) -> httpx.Response:
        """The answer to a call as soon as it begins; it must be closed. ApiError when it fails."""
        return self._answer(call, is_stream=True)

    def close(self) -> None:
        """Close every connection; nothing can be sent any more."""
        self._client.close()

    def _answer(self, call: ApiCall[Any], *, is_stream: bool) -> httpx.Response:
        if self._client.is_closed:
            raise UsageError("this framework is closed: make another one")
        attempt = 0
        while True:
            answer = self._attempt(call, is_stream)
            if isinstance(answer, httpx.Response):
                return answer
            wait_s = self._retries.wait_s(answer, attempt, call.effect)
            if wait_s is None:
                raise answer.error
            self._pause(wait_s)
            attempt += 1

    def _attempt(self, call: ApiCall[Any], is_stream: bool) -> httpx.Response | Failure:
        request = self._client.build_request(
            call.method,
            self.options.base_url + call.path,
            content=call.content,
            headers=call.all_headers("text/event-stream" if is_stream else None),
            timeout=timeout_of(self.options, call),
        )
        try:
            response = self._client.send(request, stream=is_stream)
            if call.is_answered(response.status_code):
                return response
            response.read()  # of a stream: its error is short
        except httpx.RequestError as exc:
            return connection_failure(exc, self.options)
        return read_failure(response)
