"""A wish to stop that never cuts anything in two: SIGINT, SIGTERM and SIGHUP are noted, and looked at where it is safe.

A SIGHUP that is ignored (`nohup`) stays ignored.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator

__all__ = ["StopRequest"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequest:
    """Whether somebody asked this process to stop."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Note the signals inside the block, which must run in the main thread."""
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        self.listen()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def listen(self) -> None:
        """Take the signals, again after a library has taken them."""
        for number in _SIGNALS:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue
            signal.signal(number, lambda _number, _frame: self._asked.set())

    def ask(self) -> None:
        """Ask this process to stop."""
        self._asked.set()

    def check(self) -> None:
        """KeyboardInterrupt when somebody asked."""
        if self._asked.is_set():
            raise KeyboardInterrupt

    def wait(self, timeout_s: float) -> bool:
        """Wait until somebody asks, at most `timeout_s`; whether somebody did."""
        return self._asked.wait(timeout_s)
