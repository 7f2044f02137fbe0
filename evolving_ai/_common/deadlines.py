"""Many deadlines on one timer.

A timer of the event loop for each request costs as much as parsing it, and hardly one ever fires. Here it is an entry
of a table that is looked through fifty times a second while there are any: it fires up to a tick late, never early.
"""

import asyncio
from collections.abc import Callable

__all__ = ["Deadlines"]

_TICK_S = 0.02


class Deadlines:
    """Callbacks to come, for the event loop that the first one is set in."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._entries: dict[int, tuple[float, Callable[[], None]]] = {}
        self._last = 0
        self._is_ticking = False

    def after(self, seconds: float, callback: Callable[[], None]) -> int:
        """Call `callback` in so many seconds, unless what is returned is cancelled before."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        self._last = number = self._last + 1
        self._entries[number] = (loop.time() + seconds, callback)
        if not self._is_ticking:
            self._is_ticking = True
            loop.call_later(_TICK_S, self._tick, loop)
        return number

    def cancel(self, number: int) -> None:
        """Forget a deadline; one that has fired is no change."""
        self._entries.pop(number, None)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now_s = loop.time()
        due = [number for number, (when_s, _) in self._entries.items() if when_s <= now_s]
        try:
            for number in due:
                entry = self._entries.pop(number, None)
                if entry is not None:
                    entry[1]()
        finally:
            self._is_ticking = bool(self._entries)
            if self._is_ticking:
                loop.call_later(_TICK_S, self._tick, loop)
