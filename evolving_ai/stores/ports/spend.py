"""The durable books of money: budgets, leases, what was settled, and the roll-up of spend.

Amounts are integer nano-dollars, times are seconds since the epoch (UTC). The records say what is so, never why: the
rules of money are `optimizer.budgets`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeAlias

__all__ = [
    "Account",
    "AccountKey",
    "Budget",
    "Lease",
    "ReplicaMark",
    "SpendChange",
    "SpendLine",
    "SpendQuery",
    "SpendRecord",
    "SpendState",
    "SpendStore",
]


@dataclass(frozen=True, slots=True)
class Budget:
    """What `scope` (`key:<key id>` or `tenant:<tenant>`) may spend in each window (see `optimizer.windows`)."""

    scope: str
    cap_nano_usd: int
    window: str


class AccountKey(NamedTuple):
    """One window of one scope: `start_s` is when it began (0 for a window without an end)."""

    scope: str
    window: str
    start_s: int


@dataclass(frozen=True, slots=True)
class Account:
    """What the forgotten leases of one window came to. Leases that are still kept are not in it."""

    key: AccountKey
    settled_nano_usd: int = 0
    forfeited_nano_usd: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """A block of budget that a replica holds: how much it was given, what of it is settled, what came back.

    `is_ended`: its holder let it expire. What is neither settled nor returned is then forfeited: it counts as spent.
    """

    id: str
    replica: str
    account: AccountKey
    amount_nano_usd: int
    settled_nano_usd: int
    returned_nano_usd: int
    expires_s: float
    is_ended: bool = False

    @property
    def open_nano_usd(self) -> int:
        """What may still be spent of it, or (once ended) may have been."""
        return max(0, self.amount_nano_usd - self.returned_nano_usd - self.settled_nano_usd)

    @property
    def committed_nano_usd(self) -> int:
        """What it takes of its budget."""
        return self.settled_nano_usd + self.open_nano_usd


@dataclass(frozen=True, slots=True)
class ReplicaMark:
    """Which batches of a replica are in the books: all up to `applied`, and those in `beyond` (sorted)."""

    replica: str
    applied: int
    beyond: tuple[int, ...]
    seen_s: float

    def has(self, sequence: int) -> bool:
        """Whether the batch is in the books."""
        return sequence <= self.applied or sequence in self.beyond

    def with_batch(self, sequence: int, seen_s: float) -> "ReplicaMark":
        """The mark once the batch is in the books, too."""
        applied, beyond = self.applied, {*self.beyond, sequence}
        while applied + 1 in beyond:
            applied += 1
            beyond.discard(applied)
        return ReplicaMark(self.replica, applied, tuple(sorted(beyond)), seen_s)


class SpendLine(NamedTuple):
    """A line of the roll-up: attempts that ended on a UTC day (`2026-01-31`), and what they cost."""

    day: str
    tenant: str
    key_id: str
    target: str
    attempts: int
    amount_nano_usd: int


@dataclass(frozen=True, slots=True)
class SpendQuery:
    """Which spend, and how finely: days from `since` to `until`, both included; None: all of them.

    `by` names the columns of SpendLine that tell lines apart (`day`, `tenant`, `key_id`, `target`).
    """

    since: str | None = None
    until: str | None = None
    tenant: str | None = None
    key_id: str | None = None
    by: frozenset[str] = frozenset({"day", "tenant", "key_id", "target"})


SpendRecord: TypeAlias = Budget | Account | Lease | ReplicaMark


@dataclass(frozen=True, slots=True)
class SpendChange:
    """Records that replace those of the same identity (or are new), records to forget, and lines to add up."""

    put: tuple[SpendRecord, ...] = ()
    drop: tuple[SpendRecord, ...] = ()
    lines: tuple[SpendLine, ...] = ()


@dataclass(slots=True)
class SpendState:
    """All records, by identity. The roll-up is not part of it: it is only ever added to, and asked for."""

    budgets: dict[str, Budget] = field(default_factory=dict)
    accounts: dict[AccountKey, Account] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)
    marks: dict[str, ReplicaMark] = field(default_factory=dict)
    leases_of: dict[AccountKey, dict[str, Lease]] = field(default_factory=dict)

    def apply(self, change: SpendChange) -> None:
        """Take the records of a change over."""
        for record in change.drop:
            self._drop(record)
        self.put(change.put)

    def put(self, records: Iterable[SpendRecord]) -> None:
        """Add records, or replace those of the same identity."""
        for record in records:
            match record:
                case Budget():
                    self.budgets[record.scope] = record
                case Account():
                    self.accounts[record.key] = record
                case Lease():
                    self.leases[record.id] = record
                    self.leases_of.setdefault(record.account, {})[record.id] = record
                case ReplicaMark():
                    self.marks[record.replica] = record

    def _drop(self, record: SpendRecord) -> None:
        match record:
            case Budget():
                self.budgets.pop(record.scope, None)
            case Account():
                self.accounts.pop(record.key, None)
            case Lease():
                self.leases.pop(record.id, None)
                siblings = self.leases_of.get(record.account, {})
                siblings.pop(record.id, None)
                if not siblings:
                    self.leases_of.pop(record.account, None)
            case ReplicaMark():
                self.marks.pop(record.replica, None)


class SpendStore(Protocol):
    """The durable books of money. One writer process; a second one is refused with LockedError.

    Guarantees: a change is durable as a whole when `commit` returns, and when `commit` raises nothing of it is
    there; records read back equal to what was put last; lines of one day, tenant, key and target add up.
    """

    def load(self) -> SpendState:
        """Every record. A new object: the store does not look at it again."""
        ...

    def commit(self, change: SpendChange) -> None:
        """Write a change, all of it or (StorageError) nothing. Forgetting what is not there is no change."""
        ...

    def spend(self, query: SpendQuery) -> tuple[SpendLine, ...]:
        """Sums of the roll-up, in the order of their columns; a column that `query.by` does not name is empty."""
        ...

    def close(self) -> None:
        """Give the books back to the next writer; closing again is no change."""
        ...
