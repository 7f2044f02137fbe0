"""Money between replicas and the books, as envelopes. Both sides of the wire format are here."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from evolving_ai.optimizer.budgets import BudgetBook
from evolving_ai.optimizer.ports import (
    LeaseGrant,
    LeaseRefusal,
    LeaseRequest,
    LeaseUse,
    Refusal,
    SettlementBatch,
)
from evolving_ai.serving.envelope import Caller, Envelope, pack, unpack
from evolving_ai.stores.ports.spend import SpendLine

__all__ = ["ControlLeases", "SpendDesk", "batch_json"]

_CALL_TIMEOUT_S = 5.0


def batch_json(batch: SettlementBatch) -> dict[str, Any]:
    """A batch as JSON."""
    return {
        "sequence": batch.sequence,
        "lines": [list(line) for line in batch.lines],
        "uses": [list(use) for use in batch.uses],
    }


def _batch(document: Mapping[str, Any]) -> SettlementBatch:
    lines = tuple(SpendLine(*line) for line in document["lines"])
    return SettlementBatch(document["sequence"], lines, tuple(LeaseUse(*use) for use in document["uses"]))


class SpendDesk:
    """The side of the books."""

    def __init__(self, book: BudgetBook) -> None:
        self._book = book

    def scopes(self) -> list[str]:
        """The scopes that have a budget."""
        return sorted(self._book.limits())

    def settle(self, message: Envelope) -> bytes:
        """Take a batch over; the answer is its acknowledgement."""
        batch = _batch(message.head["batch"])
        self._book.apply(message.head["replica"], batch)
        return pack({"sequence": batch.sequence})

    def lease(self, message: Envelope) -> bytes:
        """Grant a lease or refuse it."""
        answer = self._book.lease(message.head["replica"], LeaseRequest(**message.head["request"]))
        return pack({"is_granted": isinstance(answer, LeaseGrant), "answer": asdict(answer)})

    def renew(self, message: Envelope) -> bytes:
        """Renew what can go on."""
        grants = self._book.renew(message.head["replica"], message.head["leases"])
        return pack({"grants": {lease: asdict(grant) for lease, grant in grants.items()}})

    def expire(self) -> None:
        """End what expired."""
        self._book.expire()


class ControlLeases:
    """The side of a replica: implements `optimizer.ports.LeaseSource` over the handle to control."""

    def __init__(self, replica: str, control: Caller) -> None:
        self._replica = replica
        self._control = control

    async def lease(self, request: LeaseRequest) -> LeaseGrant | LeaseRefusal:
        """Ask for money. PlatformError when control does not answer."""
        message = pack({"replica": self._replica, "request": asdict(request)})
        head = unpack(await self._control.call("lease", message, timeout_s=_CALL_TIMEOUT_S)).head
        fields = head["answer"]
        if head["is_granted"]:
            return LeaseGrant(**fields)
        return LeaseRefusal(**{**fields, "reason": Refusal(fields["reason"])})

    async def renew(self, leases: Sequence[str]) -> Mapping[str, LeaseGrant]:
        """Keep leases from expiring. PlatformError when control does not answer."""
        message = pack({"replica": self._replica, "leases": list(leases)})
        answer = await self._control.call("renew", message, timeout_s=_CALL_TIMEOUT_S)
        return {lease: LeaseGrant(**grant) for lease, grant in unpack(answer).head["grants"].items()}
