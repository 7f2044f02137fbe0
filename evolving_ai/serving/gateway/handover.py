"""What a replica hands to the control deployment: outcomes and settlements, in batches, kept until acknowledged.

The loss window, stated: a replica that is killed with -9 loses what it had not handed over yet, at most one interval
of outcomes and one unacknowledged batch. Money is not lost with it: a lease that nobody settles counts as spent.
With control away, batches are compressed and wait in memory, up to a bound; beyond it the oldest go, and are counted.
"""

import asyncio
import contextlib
import logging
import zlib
from collections import deque
from collections.abc import Callable
from typing import Protocol

from evolving_ai.domain.outcome import Outcome
from evolving_ai.errors import EvolvingAIError
from evolving_ai.serving.envelope import Caller, pack, unpack

__all__ = ["Handover", "SettlementSource"]

_LOG = logging.getLogger(__name__)
_INTERVAL_S = 0.2
_MAX_BATCH = 2000
_MAX_WAITING_BYTES = 256 * 2**20
_RETRY_S = 0.5
_CALL_TIMEOUT_S = 10.0


class SettlementSource(Protocol):
    """Where settlements come from: the purse of this replica."""

    def drain(self) -> tuple[int, bytes] | None:
        """The oldest batch that is not acknowledged, or a new one of what has come up since; None when there is none."""
        ...

    def acknowledge(self, sequence: int) -> None: ...


class Handover:
    """Implements `router.ports.Recorder`. `run` is the loop that hands over; `flush` does it once more at the end."""

    def __init__(
        self, replica: str, control: Caller, encode: Callable[[list[Outcome]], bytes], settlements: SettlementSource
    ) -> None:
        self._replica = replica
        self._control = control
        self._encode = encode
        self._settlements = settlements
        self._fresh: list[Outcome] = []
        self._waiting: deque[tuple[int, bytes, bool]] = deque()
        self._waiting_bytes = 0
        self._sequence = 0
        self.dropped_batches = 0

    def record(self, outcome: Outcome) -> None:
        """Take an outcome over."""
        self._fresh.append(outcome)

    @property
    def unacknowledged(self) -> int:
        """Outcomes and batches that control has not got for sure."""
        return len(self._fresh) + len(self._waiting)

    async def run(self) -> None:
        """Hand over until cancelled."""
        while True:
            is_well = await self._hand_over()
            await asyncio.sleep(_INTERVAL_S if is_well else _RETRY_S)

    async def flush(self, timeout_s: float) -> bool:
        """Hand over everything; whether that succeeded in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not await self._hand_over():
                    await asyncio.sleep(_RETRY_S)
                return True
        return False

    async def _hand_over(self) -> bool:
        """Try once to hand over all there is; False when control did not take it."""
        self._bundle()
        try:
            await self._hand_over_settlements()
            while self._waiting:
                sequence, batch, is_packed = self._waiting[0]
                head = {"replica": self._replica, "sequence": sequence, "is_packed": is_packed}
                await self._control.call("record", pack(head, batch), timeout_s=_CALL_TIMEOUT_S)
                self._waiting.popleft()
                self._waiting_bytes -= len(batch)
        except EvolvingAIError as exc:
            _LOG.info("control did not take outcomes (%s): %d batches wait", exc, len(self._waiting))
            self._pack_waiting()
            return False
        return True

    async def _hand_over_settlements(self) -> None:
        while (batch := self._settlements.drain()) is not None:
            sequence, payload = batch
            head = {"replica": self._replica, "sequence": sequence}
            answer = await self._control.call("settle", pack(head, payload), timeout_s=_CALL_TIMEOUT_S)
            self._settlements.acknowledge(int(unpack(answer).head["sequence"]))

    def _bundle(self) -> None:
        while self._fresh:
            batch, self._fresh = self._fresh[:_MAX_BATCH], self._fresh[_MAX_BATCH:]
            self._sequence += 1
            encoded = self._encode(batch)
            self._waiting.append((self._sequence, encoded, False))
            self._waiting_bytes += len(encoded)

    def _pack_waiting(self) -> None:
        """Make what has to wait small, and drop the oldest of what is too much."""
        for place, (sequence, batch, is_packed) in enumerate(self._waiting):
            if not is_packed:
                packed = zlib.compress(batch, 1)
                self._waiting_bytes += len(packed) - len(batch)
                self._waiting[place] = (sequence, packed, True)
        while self._waiting_bytes > _MAX_WAITING_BYTES:
            self._waiting_bytes -= len(self._waiting.popleft()[1])
            self.dropped_batches += 1
