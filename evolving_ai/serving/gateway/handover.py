"""What a replica hands to the control deployment: outcomes and settlements, in batches, kept until acknowledged.

The loss window, stated: a replica that is killed with -9 loses what it had not handed over yet, at most one interval
of outcomes and one unacknowledged batch. Money is not lost with it: a lease that nobody settles counts as spent.
With control away, batches (they are compressed) wait in memory, up to a bound; beyond it the oldest go, and are
counted. What can never be handed over, an outcome that cannot be encoded or a batch that control finds damaged, is
dropped, counted and logged: nothing waits behind it.
"""

import asyncio
import logging
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from evolving_ai.domain.outcome import Outcome
from evolving_ai.errors import EvolvingAIError
from evolving_ai.optimizer.ports import SettlementBatch
from evolving_ai.serving.envelope import Caller, pack, unpack
from evolving_ai.serving.spend_messages import batch_json

__all__ = ["Handover", "SettlementSource"]

_LOG = logging.getLogger(__name__)
_INTERVAL_S = 0.2
_RETRY_S = 0.5
_MAX_BATCH = 2000
_MAX_WAITING_BYTES = 256 * 2**20
_CALL_TIMEOUT_S = 10.0
# What an encoder makes of an outcome with something in it that is not of its type, or too large (orjson: TypeError).
_UNENCODABLE = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, struct.error, EvolvingAIError)


class SettlementSource(Protocol):
    """Where settlements come from: the purse of this replica."""

    def drain(self) -> SettlementBatch | None:
        """The batch that is not acknowledged yet, or else a new one; None when there is nothing to hand over."""
        ...

    def acknowledge(self, sequence: int) -> None:
        """The books have this batch."""
        ...


class Handover:
    """Implements `router.ports.Recorder`. `run` is the loop that hands over; `flush` does it once more at the end."""

    def __init__(
        self,
        replica: str,
        control: Caller,
        encode: Callable[[list[Outcome]], bytes],
        settlements: SettlementSource,
        *,
        max_waiting_bytes: int = _MAX_WAITING_BYTES,
    ) -> None:
        self._replica = replica
        self._control = control
        self._encode = encode
        self._settlements = settlements
        self._max_waiting_bytes = max_waiting_bytes
        self._fresh: list[Outcome] = []
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._waiting_bytes = 0
        self._sequence = 0
        self._turn = asyncio.Lock()
        self.dropped_batches = 0
        self.dropped_outcomes = 0

    def record(self, outcome: Outcome) -> None:
        """Take an outcome over."""
        self._fresh.append(outcome)

    @property
    def waiting_batches(self) -> int:
        """Batches that control has not acknowledged."""
        return len(self._waiting)

    async def run(self) -> None:
        """Hand over until cancelled."""
        while True:
            is_well = await self.hand_over()
            await asyncio.sleep(_INTERVAL_S if is_well else _RETRY_S)

    async def flush(self, timeout_s: float) -> bool:
        """Hand over everything; whether that succeeded in time."""
        try:
            async with asyncio.timeout(timeout_s):
                is_done = await self.hand_over()
                while not is_done:
                    await asyncio.sleep(_RETRY_S)
                    is_done = await self.hand_over()
        except TimeoutError:
            _LOG.warning("%d batches of outcomes could not be handed over in time", len(self._waiting))
            return False
        return True

    async def hand_over(self) -> bool:
        """Try once to hand over all there is; False when control did not take it."""
        async with self._turn:
            self._bundle()
            is_settled = await self._succeeds(self._hand_over_settlements())
            return await self._succeeds(self._hand_over_outcomes()) and is_settled

    async def _succeeds(self, step: Awaitable[None]) -> bool:
        try:
            await step
        except EvolvingAIError as exc:
            _LOG.info("control did not take all (%s): %d batches of outcomes wait", exc, len(self._waiting))
            return False
        return True

    async def _hand_over_settlements(self) -> None:
        """What was not acknowledged, and what came up since; under load more comes up meanwhile, and waits its turn."""
        for _ in range(2):
            batch = self._settlements.drain()
            if batch is None:
                return
            message = pack({"replica": self._replica, "batch": batch_json(batch)})
            answer = await self._control.call("settle", message, timeout_s=_CALL_TIMEOUT_S)
            self._settlements.acknowledge(int(unpack(answer).head["sequence"]))

    async def _hand_over_outcomes(self) -> None:
        while self._waiting:
            sequence, batch = self._waiting[0]
            message = pack({"replica": self._replica, "sequence": sequence}, batch)
            answer = await self._control.call("record", message, timeout_s=_CALL_TIMEOUT_S)
            damage = unpack(answer).head.get("damage")
            if damage is not None:
                self.dropped_batches += 1
                _LOG.error("batch %d of outcomes is dropped, control finds it damaged: %s", sequence, damage)
            self._waiting.popleft()
            self._waiting_bytes -= len(batch)

    def _bundle(self) -> None:
        """Make batches of what came up, and drop the oldest of what is too much."""
        while self._fresh:
            batch, self._fresh = self._fresh[:_MAX_BATCH], self._fresh[_MAX_BATCH:]
            for encoded in self._encoded(batch):
                self._waiting.append((self._sequence, encoded))
                self._waiting_bytes += len(encoded)
                self._sequence += 1
        while self._waiting_bytes > self._max_waiting_bytes:
            self._waiting_bytes -= len(self._waiting.popleft()[1])
            self.dropped_batches += 1

    def _encoded(self, batch: list[Outcome]) -> list[bytes]:
        """The batch as one piece; as more, without the outcomes that cannot be encoded, when there are any."""
        try:
            return [self._encode(batch)]
        except _UNENCODABLE as exc:
            if len(batch) == 1:
                self.dropped_outcomes += 1
                _LOG.error("the outcome of %s is dropped, it cannot be encoded: %r", batch[0].decision_id, exc)
                return []
        middle = len(batch) // 2
        return [*self._encoded(batch[:middle]), *self._encoded(batch[middle:])]
