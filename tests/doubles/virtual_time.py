"""An event loop whose time passes at once: where it would wait, it moves a `ManualClock` instead.

So timers, time-outs and sleeps of the code under test are exact, and a test never waits. Waiting for something that
can no longer happen fails at once. No sockets, no threads.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from evolving_ai._common.clock import ManualClock

__all__ = ["run_in_virtual_time"]

_Result = TypeVar("_Result")


class _SkippingSelector(selectors.SelectSelector):
    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("everybody waits for something that can no longer happen")
        self._clock.advance(max(0.0, timeout))
        return super().select(0)


class _SkippingLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: ManualClock) -> None:
        super().__init__(_SkippingSelector(clock))
        self._clock = clock

    def time(self) -> float:
        return self._clock.monotonic_s()


def run_in_virtual_time(main: Callable[[ManualClock], Coroutine[Any, Any, _Result]]) -> _Result:
    """Run `main` with the clock of its loop; AssertionError when it leaves tasks behind."""
    clock = ManualClock()

    async def run() -> _Result:
        result = await main(clock)
        await asyncio.sleep(0)  # what was cancelled ends now
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks were left behind: {left}"
        return result

    with asyncio.Runner(loop_factory=lambda: _SkippingLoop(clock)) as runner:
        return runner.run(run())
