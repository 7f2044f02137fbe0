"""What a replica hands over: kept until acknowledged, in order, bounded while nobody takes it."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai._common.clock import ManualClock
from evolving_ai.domain.outcome import Outcome
from evolving_ai.errors import PlatformError
from evolving_ai.optimizer.ports import SettlementBatch
from evolving_ai.serving.envelope import pack, unpack
from evolving_ai.serving.gateway.handover import Handover
from tests.doubles.gateway_world import GatewayWorld
from tests.doubles.virtual_time import run_in_virtual_time


class FakeControl:
    """Takes batches as the control deployment does: each once, whatever is sent twice.

    `is_away`: it can't be reached; `loses_answers`: it takes what comes, and the answer is lost; with a `gate` it takes
    its time.
    """

    def __init__(self) -> None:
        self.is_away = False
        self.loses_answers = False
        self.refuses_settlements = False
        self.damaged: set[int] = set()
        self.gate: asyncio.Event | None = None
        self.calls: list[str] = []
        self.batches: dict[int, list[str]] = {}
        self.settled: list[int] = []
        self.replicas: set[str] = set()
        self.at_once = 0
        self.most_at_once = 0

    async def call(self, method: str, payload: bytes, *, timeout_s: float = 10.0) -> bytes:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self._answer(method, payload, timeout_s)
        finally:
            self.at_once -= 1

    async def _answer(self, method: str, payload: bytes, timeout_s: float) -> bytes:
        self.calls.append(method)
        if self.gate is not None:
            await self.gate.wait()
        if self.is_away:
            raise PlatformError("control is away")
        message = unpack(payload)
        self.replicas.add(message.head["replica"])
        if method == "settle":
            if self.refuses_settlements:
                raise PlatformError("the books do not answer")
            sequence = message.head["batch"]["sequence"]
            self.settled.append(sequence)
        else:
            sequence = message.head["sequence"]
            if sequence in self.damaged:
                return pack({"is_new": False, "damage": "it is cut short"})
            self.batches.setdefault(sequence, orjson.loads(message.body))
        if self.loses_answers:
            raise PlatformError("the answer was lost")
        return pack({"sequence": sequence})

    @property
    def taken(self) -> list[str]:
        """The identifiers of all outcomes in the order of their batches."""
        return [name for _, names in sorted(self.batches.items()) for name in names]


class FakeSettlements:
    """Batches that wait to be acknowledged, in order."""

    def __init__(self, count: int = 0) -> None:
        self.waiting = list(range(1, count + 1))

    def drain(self) -> SettlementBatch | None:
        return SettlementBatch(self.waiting[0], (), ()) if self.waiting else None

    def acknowledge(self, sequence: int) -> None:
        assert self.waiting.pop(0) == sequence


def encode(outcomes: list[Outcome]) -> bytes:
    return orjson.dumps([outcome.decision_id for outcome in outcomes])


class Scene:
    """A handover between a fake control and outcomes of one world."""

    def __init__(self, clock: ManualClock, outcome: Outcome, settlements: int, **options: Any) -> None:
        self.clock = clock
        self.control = FakeControl()
        self.settlements = FakeSettlements(settlements)
        self.handover = Handover("r-1", self.control, encode, self.settlements, **options)
        self._outcome = outcome
        self.recorded: list[str] = []

    def record(self, count: int = 1) -> None:
        """Further outcomes come up."""
        for _ in range(count):
            name = f"req-{len(self.recorded):06d}"
            self.recorded.append(name)
            self.handover.record(dataclasses.replace(self._outcome, decision_id=name))


def in_scene(test: Callable[[Scene], Awaitable[None]], *, settlements: int = 0, **options: Any) -> None:
    async def main(clock: ManualClock) -> None:
        world = GatewayWorld(clock)
        await world.path.complete(world.request())
        await test(Scene(clock, world.outcome, settlements, **options))

    run_in_virtual_time(main)


def test_outcomes_are_handed_over_in_order_and_settlements_before_them() -> None:
    async def test(scene: Scene) -> None:
        scene.record(3)

        assert await scene.handover.hand_over()

        assert scene.control.calls == ["settle", "settle", "record"]
        assert scene.control.taken == scene.recorded
        assert scene.control.settled == [1, 2]
        assert scene.settlements.waiting == []
        assert scene.control.replicas == {"r-1"}
        assert scene.handover.waiting_batches == 0

    in_scene(test, settlements=2)


def test_nothing_is_sent_where_there_is_nothing() -> None:
    async def test(scene: Scene) -> None:
        assert await scene.handover.hand_over()
        assert scene.control.calls == []

    in_scene(test)


def test_what_was_not_taken_is_kept_and_sent_again_in_order() -> None:
    async def test(scene: Scene) -> None:
        scene.control.is_away = True
        for _ in range(3):
            scene.record(2)
            assert not await scene.handover.hand_over()
        assert (scene.handover.waiting_batches, scene.settlements.waiting) == (3, [1])

        scene.control.is_away = False
        scene.record(1)
        assert await scene.handover.hand_over()

        assert scene.control.taken == scene.recorded
        assert scene.control.settled == [1]
        assert scene.handover.waiting_batches == 0
        assert scene.handover.dropped_batches == 0

    in_scene(test, settlements=1)


def test_a_batch_whose_answer_was_lost_is_sent_again_under_its_number() -> None:
    async def test(scene: Scene) -> None:
        scene.control.loses_answers = True
        scene.record(2)
        assert not await scene.handover.hand_over()
        scene.record(2)
        scene.control.loses_answers = False

        assert await scene.handover.hand_over()

        assert scene.control.calls == ["record"] * 3
        assert scene.control.batches == {0: scene.recorded[:2], 1: scene.recorded[2:]}

    in_scene(test)


def test_many_outcomes_go_in_several_batches() -> None:
    async def test(scene: Scene) -> None:
        scene.record(4500)
        await scene.handover.hand_over()

        assert [len(names) for _, names in sorted(scene.control.batches.items())] == [2000, 2000, 500]
        assert scene.control.taken == scene.recorded

    in_scene(test)


def test_beyond_the_bound_the_oldest_batches_go_and_are_counted() -> None:
    async def test(scene: Scene) -> None:
        scene.control.is_away = True
        for _ in range(10):
            scene.record(1)
            await scene.handover.hand_over()

        assert (scene.handover.waiting_batches, scene.handover.dropped_batches) == (4, 6)
        scene.control.is_away = False
        await scene.handover.hand_over()

        assert scene.control.taken == scene.recorded[-4:]
        # What left the queue left the count of bytes: the same room is there again.
        scene.control.is_away = True
        for _ in range(4):
            scene.record(1)
            await scene.handover.hand_over()
        assert (scene.handover.waiting_batches, scene.handover.dropped_batches) == (4, 6)

    one_batch = len(orjson.dumps(["req-000000"]))
    in_scene(test, max_waiting_bytes=4 * one_batch)


def test_two_at_once_send_nothing_twice_and_forget_nothing() -> None:
    async def test(scene: Scene) -> None:
        scene.control.gate = asyncio.Event()
        scene.record(2)
        first = asyncio.create_task(scene.handover.hand_over())
        await asyncio.sleep(0)
        scene.record(3)
        second = asyncio.create_task(scene.handover.hand_over())
        await asyncio.sleep(1)
        scene.control.gate.set()
        await asyncio.gather(first, second)

        assert scene.control.taken == scene.recorded
        assert scene.control.calls == ["record", "record"]
        assert scene.control.most_at_once == 1

    in_scene(test)


def test_what_is_recorded_during_a_call_goes_with_the_next() -> None:
    async def test(scene: Scene) -> None:
        scene.control.gate = asyncio.Event()
        scene.record(1)
        task = asyncio.create_task(scene.handover.hand_over())
        await asyncio.sleep(1)
        scene.record(5)
        scene.control.gate.set()
        await task
        assert scene.control.taken == scene.recorded[:1]

        await scene.handover.hand_over()
        assert scene.control.taken == scene.recorded

    in_scene(test)


def test_the_loop_hands_over_often_and_less_often_while_control_is_away() -> None:
    async def test(scene: Scene) -> None:
        task = asyncio.create_task(scene.handover.run())
        scene.record(1)
        await asyncio.sleep(0.3)
        assert scene.control.taken == scene.recorded
        scene.control.is_away = True
        scene.record(1)
        before = len(scene.control.calls)
        await asyncio.sleep(10)
        assert 15 <= len(scene.control.calls) - before <= 25
        scene.control.is_away = False
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert scene.control.taken == scene.recorded

    in_scene(test)


def test_a_loop_that_is_cancelled_in_a_call_leaves_its_batch_for_the_flush() -> None:
    async def test(scene: Scene) -> None:
        scene.control.gate = asyncio.Event()
        scene.record(2)
        task = asyncio.create_task(scene.handover.run())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        scene.control.gate.set()
        scene.record(2)

        assert await scene.handover.flush(5.0)

        assert scene.control.taken == scene.recorded

    in_scene(test)


def test_a_flush_waits_for_control_to_come_back() -> None:
    async def test(scene: Scene) -> None:
        scene.control.is_away = True
        scene.record(2)
        task = asyncio.create_task(scene.handover.flush(5.0))
        await asyncio.sleep(2)
        scene.control.is_away = False

        assert await task
        assert scene.control.taken == scene.recorded

    in_scene(test)


@pytest.mark.parametrize("hangs", [True, False])
def test_a_flush_gives_up_in_time_and_says_so(hangs: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def test(scene: Scene) -> None:
        scene.control.is_away = True
        scene.control.gate = asyncio.Event() if hangs else None
        scene.record(2)
        started_s = scene.clock.monotonic_s()

        assert not await scene.handover.flush(3.0)

        assert scene.clock.monotonic_s() - started_s == pytest.approx(3.0)
        assert scene.handover.waiting_batches == 1
        assert "could not be handed over in time" in caplog.text

    in_scene(test)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["there", "away", "deaf"])), max_size=15))
def test_whatever_control_does_it_gets_everything_once_and_in_order(history: list[tuple[int, str]]) -> None:
    async def test(scene: Scene) -> None:
        for count, mood in history:
            scene.record(count)
            scene.control.is_away, scene.control.loses_answers = mood == "away", mood == "deaf"
            await scene.handover.hand_over()
        scene.control.is_away = scene.control.loses_answers = False

        assert await scene.handover.flush(5.0)
        assert scene.control.taken == scene.recorded
        assert sorted(set(scene.control.settled)) == [1, 2]

    in_scene(test, settlements=2)


def test_an_outcome_that_cannot_be_encoded_is_dropped_alone_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    def strict(outcomes: list[Outcome]) -> bytes:
        if any(outcome.decision_id == "req-000002" for outcome in outcomes):
            raise ValueError("an integer of more than 64 bits")
        return encode(outcomes)

    async def test(scene: Scene) -> None:
        handover = Handover("r-2", scene.control, strict, scene.settlements)
        scene.handover = handover
        scene.record(5)
        loop = asyncio.create_task(handover.run())
        await asyncio.sleep(1)
        scene.record(1)
        await asyncio.sleep(1)
        loop.cancel()

        assert scene.control.taken == [name for name in scene.recorded if name != "req-000002"]
        assert (handover.dropped_outcomes, handover.dropped_batches, handover.waiting_batches) == (1, 0, 0)
        assert "req-000002 is dropped" in caplog.text

    in_scene(test)


def test_a_batch_that_control_finds_damaged_is_dropped_and_the_next_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def test(scene: Scene) -> None:
        scene.control.is_away = True
        scene.record(2)
        assert not await scene.handover.hand_over()
        scene.record(1)
        assert not await scene.handover.hand_over()
        scene.control.is_away = False
        scene.control.damaged = {0}

        assert await scene.handover.hand_over()
        assert scene.control.taken == scene.recorded[2:]
        assert (scene.handover.dropped_batches, scene.handover.waiting_batches) == (1, 0)
        assert "batch 0 of outcomes is dropped" in caplog.text

    in_scene(test)


def test_settlements_that_are_not_taken_hold_up_no_outcomes() -> None:
    async def test(scene: Scene) -> None:
        scene.control.refuses_settlements = True
        scene.record(2)
        assert not await scene.handover.hand_over()
        assert scene.control.taken == scene.recorded
        assert scene.settlements.waiting == [1]

    in_scene(test, settlements=1)
