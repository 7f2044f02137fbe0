"""A streamed answer as it grows: bytes in, chunks out, and the whole answer with its figures at the end. No I/O.

The rule it keeps: a stream that breaks off is an error, never a short answer.
"""

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from evolving_ai.domain.problem import PROBLEMS
from evolving_ai.sdk.errors import ApiConnectionError, ApiError, answered_error, malformed_answer
from evolving_ai.sdk.event_stream import EventStream, StreamEvent
from evolving_ai.sdk.results import ChatResult, Usage

__all__ = ["ChatChunk", "StreamedChat"]

_COST = "x-evolving-cost-usd "
_END = "[DONE]"
_DEFAULT_STATUS = 502


@dataclass(frozen=True, slots=True)
class ChatChunk:
    """A piece of an answer: the text that it adds, and why the answer ended where it did. `raw` is OpenAI's chunk."""

    text: str
    finish_reason: str | None
    raw: dict[str, Any] = field(repr=False)


class StreamedChat:
    """`headers` are those of the answer, in lower case. Feed bytes, take chunks until there is none, then `end`."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.decision_id = headers.get("x-request-id", "")
        self._headers = headers
        self._stream = EventStream()
        self._events: deque[StreamEvent] = deque()
        self._message: dict[str, Any] = {"role": "assistant", "content": None}
        self._model = ""
        self._finish_reason: str | None = None
        self._usage = Usage()
        self._cost_usd: Decimal | None = None
        self.is_done = False

    def feed(self, data: bytes) -> None:
        """Take bytes. ApiError when they are no stream of events."""
        try:
            self._events.extend(self._stream.feed(data))
        except ValueError as exc:
            raise self._malformed(str(exc)) from exc

    def next_chunk(self) -> ChatChunk | None:
        """The next chunk of what was fed; None: more bytes are needed. ApiError when the platform tells one."""
        while self._events:
            event = self._events.popleft()
            if event.is_comment:
                self._take_comment(event.data)
            elif event.data.startswith(_END):
                self.is_done = True
            elif not self.is_done:
                chunk = self._take(event.data)
                if chunk is not None:
                    return chunk
        return None

    def end(self) -> ChatResult:
        """The whole answer, when all bytes were fed. ApiConnectionError when it is not whole."""
        if not self.is_done:
            raise ApiConnectionError(
                "the stream ended before the answer was whole", code="connection_failed", request_id=self.decision_id
            )
        target = self._headers.get("x-evolving-target", "")
        attempts = self._headers.get("x-evolving-attempts", "")
        return ChatResult(
            decision_id=self.decision_id,
            model=target.partition("/")[2] or self._model,
            target=target,
            finish_reason=self._finish_reason,
            usage=self._usage,
            cost_usd=self._cost_usd,
            attempts=int(attempts) if attempts.isdecimal() else 1,
            dna=self._headers.get("x-evolving-dna", ""),
            snapshot=self._headers.get("x-evolving-snapshot", ""),
            message=self._message,
        )

    def _take_comment(self, text: str) -> None:
        if not text.startswith(_COST):
            return
        try:
            self._cost_usd = Decimal(text.removeprefix(_COST))
        except InvalidOperation as exc:
            raise self._malformed(f"{text[:80]!r} is no amount") from exc

    def _take(self, data: str) -> ChatChunk | None:
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as exc:
            raise self._malformed(f"an event is not JSON: {data[:80]!r}") from exc
        if not isinstance(document, dict):
            raise self._malformed(f"an event is no object: {data[:80]!r}")
        if document.get("error"):
            raise self._told(document)
        try:
            return self._take_chunk(document)
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            raise self._malformed(f"an event is no chunk of an answer: {data[:80]!r}") from exc

    def _take_chunk(self, document: dict[str, Any]) -> ChatChunk | None:
        self._model = document.get("model") or self._model
        usage = document.get("usage")
        if usage:
            self._usage = Usage(input_tokens=usage["prompt_tokens"], output_tokens=usage["completion_tokens"])
        choice = next((choice for choice in document["choices"] if choice.get("index", 0) == 0), None)
        if choice is None:
            return None
        delta = choice.get("delta") or {}
        _merge(self._message, delta)
        self._finish_reason = choice.get("finish_reason") or self._finish_reason
        return ChatChunk(str(delta.get("content") or ""), choice.get("finish_reason"), document)

    def _told(self, document: dict[str, Any]) -> ApiError:
        """An error in the stream: its status is that of its code, because the stream's own was 200."""
        said = document["error"]
        code = said.get("code") if isinstance(said, dict) else None
        status = PROBLEMS[code].status if isinstance(code, str) and code in PROBLEMS else _DEFAULT_STATUS
        return answered_error(status, {"x-request-id": self.decision_id}, document)

    def _malformed(self, what: str) -> ApiError:
        return malformed_answer(what, status=200, request_id=self.decision_id)


def _merge(message: dict[str, Any], delta: Mapping[str, Any]) -> None:
    """OpenAI's rule: fragments of text are joined, fragments of tool calls by their index, the rest stands as it is."""
    for name, value in delta.items():
        if value is None:
            continue
        if name == "tool_calls":
            for fragment in value:
                _merge_call(message.setdefault("tool_calls", []), fragment)
        elif name != "role" and isinstance(value, str):
            message[name] = (message.get(name) or "") + value
        else:
            message[name] = value


def _merge_call(calls: list[dict[str, Any]], fragment: Mapping[str, Any]) -> None:
    index = fragment.get("index", 0)
    if not 0 <= index <= len(calls):
        raise ValueError(f"tool call {index} comes before tool call {len(calls)}")
    if index == len(calls):
        calls.append({"id": None, "type": "function", "function": {"name": "", "arguments": ""}})
    call, function = calls[index], fragment.get("function") or {}
    call["id"] = fragment.get("id") or call["id"]
    call["type"] = fragment.get("type") or call["type"]
    call["function"]["name"] = function.get("name") or call["function"]["name"]
    call["function"]["arguments"] += function.get("arguments") or ""
