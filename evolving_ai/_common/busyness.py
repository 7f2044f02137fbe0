"""How busy a thread is: the share of the time that it computed."""

import time

from evolving_ai._common.clock import Clock

__all__ = ["Busyness"]


class Busyness:
    """Measures the thread that calls it, from one call to the next."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at_s = clock.monotonic_s()
        self._computed_s = time.thread_time()

    def share(self) -> float:
        """Processor time over time since the last call, 0 to 1; 0 when no time went by."""
        at_s, computed_s = self._clock.monotonic_s(), time.thread_time()
        elapsed_s, used_s = at_s - self._at_s, computed_s - self._computed_s
        self._at_s, self._computed_s = at_s, computed_s
        return min(1.0, max(0.0, used_s / elapsed_s)) if elapsed_s > 0 else 0.0
