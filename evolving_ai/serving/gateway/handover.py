"""What a replica hands to the control deployment: outcomes and settlements, in batches, kept until acknowledged.

The loss window, stated: a replica that is killed with -9 loses what it had not handed over yet, at most one interval
of outcomes and one unacknowledged batch. Money is not lost with it: a lease that nobody settles counts as spent.
With control away, batches (they are compressed) wait in memory, up to a bound; beyond it the oldest go, and are
counted.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
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
            try:
                await self._hand_over_settlements()
                while self._waiting:
                    sequence, batch = self._waiting[0]
                    head = {"replica": self._replica, "sequence": sequence}
                    await self._control.call("record", pack(head, batch), timeout_s=_CALL_TIMEOUT_S)
                    self._waiting.popleft()
                    self._waiting_bytes -= len(batch)
            except EvolvingAIError as exc:
                _LOG.info("control did not take outcomes (%s): %d batches wait", exc, len(self._waiting))
                return False
            return True

    async def _hand_over_settlements(self) -> None:
        while (batch := self._settlements.drain()) is not None:
            message = pack({"replica": self._replica, "batch": batch_json(batch)})
            answer = await self._control.call("settle", message, timeout_s=_CALL_TIMEOUT_S)
            self._settlements.acknowledge(int(unpack(answer).head["sequence"]))

    def _bundle(self) -> None:
        """Make batches of what came up, and drop the oldest of what is too much."""
        while self._fresh:
            batch, self._fresh = self._fresh[:_MAX_BATCH], self._fresh[_MAX_BATCH:]
            encoded = self._encode(batch)
            self._waiting.append((self._sequence, encoded))
            self._waiting_bytes += len(encoded)
            self._sequence += 1
        while self._waiting_bytes > self._max_waiting_bytes:
            self._waiting_bytes -= len(self._waiting.popleft()[1])
            self.dropped_batches += 1
