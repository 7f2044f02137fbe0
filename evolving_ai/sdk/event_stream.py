"""Server-sent events out of bytes that may be cut anywhere (WHATWG HTML, section 9.2), comments included.

Comments matter here: the platform says in one what a stream cost. Event names and ids are not used by any dialect
that this client reads, and are passed over.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["EventStream", "StreamEvent"]

_LINE_END = re.compile(rb"\r\n|\n|\r")
_MAX_EVENT_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """An event with its data, or (`is_comment`) a line that no dialect reads."""

    data: str
    is_comment: bool = False


class EventStream:
    """Takes bytes, gives events. ValueError when what comes is no such stream, or one event is too large."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._size = 0
        self._ended_with_return = False

    def feed(self, data: bytes) -> Iterator[StreamEvent]:
        """The events that `data` completes. An event that the stream's end cuts off is never given."""
        lines = self._lines(data)
        for line in lines:
            if line.startswith(b":"):
                yield StreamEvent(line[1:].decode("utf-8", "replace").strip(), is_comment=True)
            elif not line:
                if self._data:
                    yield StreamEvent(b"\n".join(self._data).decode("utf-8"))
                self._data, self._size = [], 0
            else:
                self._take(line)

    def _take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name != b"data":
            return
        self._data.append(value.removeprefix(b" "))
        self._check(len(value))

    def _check(self, more: int) -> None:
        self._size += more
        if self._size > _MAX_EVENT_BYTES:
            raise ValueError(f"an event is larger than {_MAX_EVENT_BYTES} bytes")

    def _lines(self, data: bytes) -> list[bytes]:
        """The complete lines. A line feed right after a carriage return belongs to it, also in the next piece."""
        if self._ended_with_return and data:
            data = data.removeprefix(b"\n")
            self._ended_with_return = False
        self._ended_with_return = self._ended_with_return or data.endswith(b"\r")
        *lines, self._rest = _LINE_END.split(self._rest + data)
        if len(self._rest) > _MAX_EVENT_BYTES:
            raise ValueError(f"a line is longer than {_MAX_EVENT_BYTES} bytes")
        return lines
