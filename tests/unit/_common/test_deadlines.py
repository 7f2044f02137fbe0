"""Deadlines fire once, in time, and not when they were cancelled."""

import asyncio

from evolving_ai._common.deadlines import Deadlines
from tests.doubles.virtual_time import run_in_virtual_time


def test_a_deadline_fires_once_and_not_early() -> None:
    async def test(_clock: object) -> None:
        deadlines, loop = Deadlines(), asyncio.get_running_loop()
        fired: list[float] = []
        start_s = loop.time()
        deadlines.after(1.0, lambda: fired.append(loop.time() - start_s))

        await asyncio.sleep(3.0)

        assert len(fired) == 1
        assert 1.0 <= fired[0] <= 1.05

    run_in_virtual_time(test)


def test_a_cancelled_deadline_does_not_fire() -> None:
    async def test(_clock: object) -> None:
        deadlines = Deadlines()
        fired: list[str] = []
        first = deadlines.after(1.0, lambda: fired.append("first"))
        deadlines.after(1.0, lambda: fired.append("second"))
        deadlines.cancel(first)
        deadlines.cancel(first)

        await asyncio.sleep(2.0)

        assert fired == ["second"]

    run_in_virtual_time(test)


def test_a_deadline_may_cancel_another_that_is_due_in_the_same_tick() -> None:
    async def test(_clock: object) -> None:
        deadlines = Deadlines()
        fired: list[str] = []
        numbers: list[int] = []
        deadlines.after(0.5, lambda: (fired.append("first"), deadlines.cancel(numbers[0]))[0])
        numbers.append(deadlines.after(0.5, lambda: fired.append("second")))

        await asyncio.sleep(1.0)

        assert fired == ["first"]

    run_in_virtual_time(test)


def test_deadlines_can_be_set_again_after_all_have_gone() -> None:
    async def test(_clock: object) -> None:
        deadlines = Deadlines()
        fired: list[int] = []
        for number in range(3):
            deadlines.after(0.1, lambda number=number: fired.append(number))  # type: ignore[misc]
            await asyncio.sleep(1.0)

        assert fired == [0, 1, 2]

    run_in_virtual_time(test)
