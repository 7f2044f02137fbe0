"""Server-sent events: bytes in as they arrive, events out (WHATWG HTML, section 9.2.6).

Bytes may be cut anywhere, also inside a character or between `\\r` and `\\n`: the events are the same. Lines are never
decoded, so that the data of an event are the bytes that were sent. `id` and `retry` are not kept: nobody reconnects to
a chat completion.
"""

from typing import NamedTuple

from evolving_ai.domain.outcome import AttemptResult
from evolving_ai.errors import UpstreamError

__all__ = ["ServerSentEvent", "SseParser"]

_MAX_EVENT_BYTES = 16 * 2**20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MESSAGE = "message"


class ServerSentEvent(NamedTuple):
    """`name` is `message` where the sender gave none; several data lines are joined by `\\n`."""

    data: bytes
    name: str = _MESSAGE


class SseParser:
    """Feed it bytes until the stream ends, then call `finish`.

    UpstreamError `malformed` when one event grows beyond `max_event_bytes`; then the parser is of no more use.
    """

    def __init__(self, max_event_bytes: int = _MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._pieces: list[bytes] = []  # of a line whose end has not come yet
        self._pieces_size = 0
        self._data: list[bytes] = []
        self._data_size = 0
        self._name = _MESSAGE
        self._is_first_line = True
        self._ended_with_return = False

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that these bytes complete."""
        if self._ended_with_return and chunk:
            self._ended_with_return = False
            if chunk.startswith(b"\n"):  # the second half of a line end
                chunk = chunk[1:]
        if not chunk:
            return []
        lines = chunk.splitlines()  # of bytes: at \n, \r and \r\n, nothing else
        self._ended_with_return = chunk.endswith(b"\r")
        rest = b"" if self._ended_with_return or chunk.endswith(b"\n") else lines.pop()
        events: list[ServerSentEvent] = []
        if lines and self._pieces:
            lines[0] = b"".join((*self._pieces, lines[0]))
            self._pieces.clear()
            self._pieces_size = 0
        for line in lines:
            self._take(line, events)
        if rest:
            self._pieces.append(rest)
            self._pieces_size += len(rest)
            self._check(self._pieces_size)
        return events

    def finish(self) -> list[ServerSentEvent]:
        """The event that the end of the stream cut off, if any: its last blank line is missing, and perhaps more."""
        events: list[ServerSentEvent] = []
        if self._pieces:
            line = b"".join(self._pieces)
            self._pieces.clear()
            self._take(line, events)
        self._take(b"", events)
        return events

    def _take(self, line: bytes, events: list[ServerSentEvent]) -> None:
        """One line without its end."""
        self._check(len(line))
        if self._is_first_line:
            self._is_first_line = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            if self._data:
                data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
                events.append(ServerSentEvent(data, self._name))
                self._data = []
                self._data_size = 0
            self._name = _MESSAGE
            return
        if line.startswith(b"data:"):
            value = line[6:] if line.startswith(b"data: ") else line[5:]
            self._data.append(value)
            self._data_size += len(value) + 1
        elif line.startswith(b"event:"):
            self._name = line[6:].removeprefix(b" ").decode("utf-8", "replace") or _MESSAGE
        elif line == b"event":
            self._name = _MESSAGE
        elif line == b"data":
            self._data.append(b"")
            self._data_size += 1

    def _check(self, line_size: int) -> None:
        if self._data_size + line_size > self._max_event_bytes:
            raise UpstreamError(
                AttemptResult.MALFORMED, f"an event of the stream is larger than {self._max_event_bytes} bytes"
            )
