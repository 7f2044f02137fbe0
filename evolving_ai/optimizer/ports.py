"""What replicas and the books of money say to each other, and the port that carries it.

The rule kept here: every message may be lost, come twice or come late, and no money is counted twice or spent beyond
its cap for it. A lease has one cumulative amount, so an answer that was lost is in the next one; the replica counts
the time that it may use a lease from before it asked, so their wall clocks need not agree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from evolving_ai.stores.ports.spend import SpendLine

__all__ = [
    "LeaseGrant",
    "LeaseRefusal",
    "LeaseRequest",
    "LeaseSource",
    "LeaseUse",
    "Refusal",
    "SettlementBatch",
    "answer_from_json",
]


class Refusal(StrEnum):
    """Why there is no money."""

    EXHAUSTED = "exhausted"  # less than the minimum remains
    ENDED = "ended"  # this lease cannot grow any more: its window is over; take another one
    NO_BUDGET = "no_budget"  # nobody limits this scope


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """Wish for `wanted_nano_usd` more (useful from `minimum_nano_usd` on) in a lease that the replica names.

    `lease` is the replica's own name for it, new for a new lease; `known_nano_usd` the amount that the replica knows
    it to have (0: a new one).
    """

    lease: str
    scope: str
    wanted_nano_usd: int
    minimum_nano_usd: int
    known_nano_usd: int

    def to_json(self) -> dict[str, Any]:
        """What the constructor takes, by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LeaseGrant:
    """A lease as it stands: all that was ever put into it, and for how long it may be used from now on.

    `window_left_s` is until its window ends (None: never).
    """

    lease: str
    amount_nano_usd: int
    lasts_s: float
    window_left_s: float | None

    def to_json(self) -> dict[str, Any]:
        """What the constructor takes, by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LeaseRefusal:
    """No money: what remains of the budget unleased, of which cap, and for how long (None: for ever)."""

    reason: Refusal
    remaining_nano_usd: int = 0
    cap_nano_usd: int = 0
    window_left_s: float | None = None

    def to_json(self) -> dict[str, Any]:
        """What `answer_from_json` reads."""
        return asdict(self)


class LeaseUse(NamedTuple):
    """What of a lease was settled, and what is given back, since the batch before."""

    lease: str
    scope: str
    settled_nano_usd: int
    returned_nano_usd: int


@dataclass(frozen=True, slots=True)
class SettlementBatch:
    """Everything that a replica settled since the batch before, summed up: lines for the roll-up, uses of leases.

    A batch is applied as a whole and once. `sequence` counts from 1 for each replica; an unacknowledged batch is
    offered again unchanged and the next one is not made before, so its number stands for all that is in it.
    """

    sequence: int
    lines: tuple[SpendLine, ...]
    uses: tuple[LeaseUse, ...]

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        return {"sequence": self.sequence, "lines": self.lines, "uses": self.uses}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "SettlementBatch":
        """The batch; KeyError or TypeError when the document is something else."""
        lines = tuple(SpendLine(*line) for line in document["lines"])
        return cls(document["sequence"], lines, tuple(LeaseUse(*use) for use in document["uses"]))


def answer_from_json(document: Mapping[str, Any]) -> LeaseGrant | LeaseRefusal:
    """A grant or a refusal; KeyError, TypeError or ValueError when the document is something else."""
    if "reason" not in document:
        return LeaseGrant(**document)
    return LeaseRefusal(**{**document, "reason": Refusal(document["reason"])})


class LeaseSource(Protocol):
    """Where a replica gets money.

    Guarantees: what is granted is durably debited before the answer comes; no call takes longer than a deadline of
    the source's own. PlatformError when the books cannot be reached, also where it is not known what they did.
    """

    async def lease(self, request: LeaseRequest) -> LeaseGrant | LeaseRefusal: ...

    async def renew(self, leases: Sequence[str]) -> Mapping[str, LeaseGrant]:
        """Keep leases from expiring. One that is missing in the answer has ended: give back what is left of it."""
        ...
