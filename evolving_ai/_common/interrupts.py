"""Interrupts that wait: what would leave processes behind when it is cut in two runs to its end first."""

import contextlib
import signal
import threading
from collections.abc import Iterator

__all__ = ["interrupts_wait"]


@contextlib.contextmanager
def interrupts_wait(*, deferred: bool) -> Iterator[None]:
    """SIGINT and SIGTERM do nothing inside the block; `deferred`: one that came becomes a KeyboardInterrupt after it.

    Outside the main thread, where no signal arrives, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda n, _: came.append(n)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came and deferred:
        raise KeyboardInterrupt
