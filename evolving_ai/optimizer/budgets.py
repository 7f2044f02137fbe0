"""The books of budgets: who may spend how much, what is leased out, what was spent.

The rule kept here: a lease counts as spent in full from before it is handed out until its holder settles or returns
it, so settled and leased and forfeited never exceed the cap, whichever process dies when. Every operation is one
durable change, written before it is true in memory. What a cap is for begins when the budget is set: spend from
before is in the roll-up, not in the budget. A cap that is lowered refuses further leases; those that are out stand.

Not done here: reserving for requests (`optimizer.leases`), talking to replicas.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from evolving_ai._common.clock import Clock
from evolving_ai.errors import UsageError
from evolving_ai.optimizer.ports import LeaseGrant, LeaseRefusal, LeaseRequest, LeaseUse, Refusal, SettlementBatch
from evolving_ai.optimizer.windows import WindowBounds, check_window, window_at
from evolving_ai.stores.ports.spend import (
    Account,
    AccountKey,
    Budget,
    Lease,
    ReplicaMark,
    SpendChange,
    SpendLine,
    SpendQuery,
    SpendRecord,
    SpendState,
    SpendStore,
)

__all__ = ["BudgetBook", "BudgetOptions", "BudgetStatus"]

_MAX_CAP_NANO_USD = 10**18


@dataclass(frozen=True, slots=True)
class BudgetOptions:
    """How long things last, in seconds.

    `lease_s`: a lease that is not renewed. `forfeit_kept_s`: how long a forfeited lease waits for late settlements
    (longer than any reservation lasts). `mark_kept_s`: how long a silent replica's batches are known. `seen_s`: a
    replica that was silent for longer no longer counts when the size of a lease is found.
    """

    lease_s: float = 120.0
    forfeit_kept_s: float = 86_400.0
    mark_kept_s: float = 7 * 86_400.0
    seen_s: float = 300.0

    def __post_init__(self) -> None:
        if min(self.lease_s, self.forfeit_kept_s, self.mark_kept_s, self.seen_s) <= 0:
            raise ValueError("every duration of the books is more than 0 seconds")


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """A budget in its current window; amounts in nano-dollars, times in seconds since the epoch.

    `leased` is held by replicas, `forfeited` was held by replicas that vanished and counts as spent.
    """

    budget: Budget
    start_s: int
    end_s: int | None
    settled_nano_usd: int
    leased_nano_usd: int
    forfeited_nano_usd: int

    @property
    def remaining_nano_usd(self) -> int:
        """What can still be leased; 0 when the cap was lowered below what is out."""
        spent = self.settled_nano_usd + self.leased_nano_usd + self.forfeited_nano_usd
        return max(0, self.budget.cap_nano_usd - spent)


class BudgetBook:
    """The one set of books. Threads may share it; each call is atomic. The store is read at the first call.

    A batch is recognised by its number, not its settlements by theirs: a replica offers a batch unchanged until it
    is acknowledged, and the mark of the replica is written in the same transaction as what the batch adds. So a batch
    is in the books as a whole or not at all, and which ones are is one small row for each replica. A replica's name
    must be new each time it starts.
    """

    def __init__(self, store: SpendStore, clock: Clock, *, options: BudgetOptions = BudgetOptions()) -> None:
        self._store = store
        self._clock = clock
        self._options = options
        self._loaded: SpendState | None = None
        self._seen_s: dict[str, float] = {}
        self._latest_s = 0.0
        self._turn = threading.RLock()

    # --- Budgets ------------------------------------------------------------------------------------------------------

    def set_budget(
        self, scope: str, cap_nano_usd: int, window: str, *, witness: Callable[[Budget], None] | None = None
    ) -> Budget:
        """Limit a scope, or change its limit. UsageError for an impossible scope, cap or window.

        `witness` is called with the budget before the change is made; when it raises, nothing is changed.

        With another cap the count goes on; with another window a new count begins, and leases of the old one end
        when they are next renewed.
        """
        kind, _, name = scope.partition(":")
        if kind not in ("key", "tenant") or not name:
            raise UsageError(f"{scope[:80]!r} is no budget scope: expected key:<key id> or tenant:<tenant>")
        if not 0 <= cap_nano_usd <= _MAX_CAP_NANO_USD:
            raise UsageError(f"a cap of {cap_nano_usd} nano-dollars is out of range: expected 0 to {_MAX_CAP_NANO_USD}")
        budget = Budget(scope, cap_nano_usd, check_window(window))
        with self._turn:
            if witness is not None:
                witness(budget)
            self._commit([budget])
        return budget

    def remove_budget(self, scope: str, *, witness: Callable[[Budget], None] | None = None) -> bool:
        """Stop limiting a scope; False when nothing did. Setting the same window again goes on with its count.

        `witness` is called with the budget before it is removed; when it raises, nothing is changed.
        """
        with self._turn:
            budget = self._state.budgets.get(scope)
            if budget is None:
                return False
            if witness is not None:
                witness(budget)
            self._commit(drop=[budget])
            return True

    def budgets(self) -> tuple[BudgetStatus, ...]:
        """Every budget in its current window, sorted by scope."""
        with self._turn:
            return tuple(self._status(self._state.budgets[scope]) for scope in sorted(self._state.budgets))

    def status(self, scope: str) -> BudgetStatus | None:
        """One budget in its current window; None when nobody limits the scope."""
        with self._turn:
            budget = self._state.budgets.get(scope)
            return None if budget is None else self._status(budget)

    def limits(self) -> frozenset[str]:
        """The scopes that have a budget: what the replicas must know."""
        with self._turn:
            return frozenset(self._state.budgets)

    def spend(self, query: SpendQuery) -> tuple[SpendLine, ...]:
        """Sums of all spend that replicas reported, limited by a budget or not."""
        return self._store.spend(query)

    # --- Leases -------------------------------------------------------------------------------------------------------

    def lease(self, replica: str, request: LeaseRequest) -> LeaseGrant | LeaseRefusal:
        """Put money into a lease, new or not; durable before it returns.

        As much as wanted, but no more than the greater of the minimum and an even share of half of what remains
        (remaining / 2 / replicas), so that the rest shrinks as the budget empties. A request that comes twice, or
        again because its answer was lost, is given what it was given the first time.
        """
        if min(request.wanted_nano_usd, request.minimum_nano_usd, request.known_nano_usd) < 0:
            raise ValueError("amounts of a lease request are 0 or more")
        with self._turn:
            now_s = self._now_s()
            self._seen_s[replica] = now_s
            budget = self._state.budgets.get(request.scope)
            if budget is None:
                return LeaseRefusal(Refusal.NO_BUDGET)
            bounds = window_at(budget.window, now_s)
            account = AccountKey(budget.scope, budget.window, bounds.start_s)
            held = self._state.leases.get(request.lease)
            if not _may_grow(held, request, replica, account):
                return LeaseRefusal(Refusal.ENDED)
            held = held or Lease(request.lease, replica, account, 0, 0, 0, expires_s=0.0)
            remaining = budget.cap_nano_usd - self._committed(account)
            more = self._more(request, held, remaining)
            if more is None:
                left_s = None if bounds.end_s is None else bounds.end_s - now_s
                return LeaseRefusal(Refusal.EXHAUSTED, max(0, remaining), budget.cap_nano_usd, left_s)
            return self._grant(held, more, bounds, now_s)

    def renew(self, replica: str, leases: Sequence[str]) -> Mapping[str, LeaseGrant]:
        """Keep leases of this replica from expiring; those that cannot go on are missing in the answer.

        One that has expired in the meantime comes back to life: all of it still counts as spent.
        """
        with self._turn:
            now_s = self._now_s()
            self._seen_s[replica] = now_s
            renewed: list[Lease] = []
            grants = {}
            for lease_id in leases:
                lease = self._state.leases.get(lease_id)
                bounds = None if lease is None or lease.replica != replica else self._bounds(lease.account, now_s)
                if lease is not None and bounds is not None:
                    renewed.append(replace(lease, expires_s=now_s + self._options.lease_s, is_ended=False))
                    grants[lease_id] = self._granted(renewed[-1], bounds, now_s)
            if renewed:
                self._commit(renewed)
            return grants

    def apply(self, replica: str, batch: SettlementBatch) -> bool:
        """Take a batch over, durably; False when it was in the books already.

        What is settled against an expired lease moves from forfeited to settled. What goes beyond a lease was spent
        all the same and counts against its budget; so does what is settled against a lease that is long forgotten.
        """
        _check_amounts(batch)
        with self._turn:
            now_s = self._now_s()
            self._seen_s[replica] = now_s
            mark = self._state.marks.get(replica) or ReplicaMark(replica, 0, (), now_s)
            if mark.has(batch.sequence):
                return False
            leases: dict[str, Lease] = {}
            accounts: dict[AccountKey, Account] = {}
            for use in batch.uses:
                lease = leases.get(use.lease) or self._state.leases.get(use.lease)
                if lease is not None and lease.replica == replica:
                    leases[use.lease] = _used(lease, use)
                else:
                    self._settle_unleased(use, accounts, now_s)
            done = [lease for lease in leases.values() if _is_done(lease)]
            kept = [lease for lease in leases.values() if not _is_done(lease)]
            self._fold(done, accounts)
            put: list[SpendRecord] = [*accounts.values(), *kept, mark.with_batch(batch.sequence, now_s)]
            self._commit(put, done, batch.lines)
            return True

    def expire(self) -> int:
        """End the leases whose holders let them expire, and forget what is over; the number of leases that ended.

        What was not settled of an ended lease is forfeited: it counts as spent, because the replica that vanished may
        have spent it. Call it every few seconds.
        """
        with self._turn:
            now_s = self._now_s()
            expired = [
                lease for lease in self._state.leases.values() if not lease.is_ended and lease.expires_s <= now_s
            ]
            ended = [replace(lease, is_ended=True) for lease in expired if lease.open_nano_usd]
            forgotten_s = now_s - self._options.forfeit_kept_s
            late = [lease for lease in self._state.leases.values() if lease.is_ended and lease.expires_s <= forgotten_s]
            done = [*(lease for lease in expired if not lease.open_nano_usd), *late]
            accounts: dict[AccountKey, Account] = {}
            self._fold(done, accounts)
            drop: list[SpendRecord] = [*done, *self._old_accounts(now_s), *self._old_marks(now_s)]
            put: list[SpendRecord] = [*accounts.values(), *ended]
            if put or drop:
                self._commit(put, drop)
            return len(expired)

    # --- Inside -------------------------------------------------------------------------------------------------------

    @property
    def _state(self) -> SpendState:
        if self._loaded is None:
            self._loaded = self._store.load()
        return self._loaded

    def _now_s(self) -> float:
        """The time of the clock, except that it never goes back: a window that was left is not entered again."""
        self._latest_s = max(self._latest_s, self._clock.now().timestamp())
        return self._latest_s

    def _commit(
        self, put: Sequence[SpendRecord] = (), drop: Sequence[SpendRecord] = (), lines: tuple[SpendLine, ...] = ()
    ) -> None:
        change = SpendChange(tuple(put), tuple(drop), lines)
        self._store.commit(change)
        self._state.apply(change)

    def _account(self, key: AccountKey) -> Account:
        return self._state.accounts.get(key) or Account(key)

    def _committed(self, key: AccountKey) -> int:
        account = self._account(key)
        leases = self._state.leases_of.get(key, {}).values()
        out = sum(lease.committed_nano_usd for lease in leases)
        return account.settled_nano_usd + account.forfeited_nano_usd + out

    def _status(self, budget: Budget) -> BudgetStatus:
        bounds = window_at(budget.window, self._now_s())
        key = AccountKey(budget.scope, budget.window, bounds.start_s)
        account = self._account(key)
        leases = self._state.leases_of.get(key, {}).values()
        return BudgetStatus(
            budget,
            bounds.start_s,
            bounds.end_s,
            account.settled_nano_usd + sum(lease.settled_nano_usd for lease in leases),
            sum(lease.open_nano_usd for lease in leases if not lease.is_ended),
            account.forfeited_nano_usd + sum(lease.open_nano_usd for lease in leases if lease.is_ended),
        )

    def _bounds(self, account: AccountKey, now_s: float) -> WindowBounds | None:
        """The bounds of the account's window while it is its scope's current one."""
        budget = self._state.budgets.get(account.scope)
        if budget is None or budget.window != account.window:
            return None
        bounds = window_at(budget.window, now_s)
        return bounds if bounds.start_s == account.start_s else None

    def _more(self, request: LeaseRequest, held: Lease, remaining: int) -> int | None:
        """What to put into the lease; None when the minimum cannot be met."""
        unknown = max(0, held.amount_nano_usd - request.known_nano_usd)  # granted, but the answer was lost
        missing = max(0, request.minimum_nano_usd - unknown)
        if missing > max(0, remaining):
            return None
        now_s = self._latest_s
        replicas = sum(now_s - seen_s <= self._options.seen_s for seen_s in self._seen_s.values())
        share = max(0, remaining) // (2 * max(1, replicas))
        return min(max(request.wanted_nano_usd - unknown, missing), max(missing, share))

    def _grant(self, held: Lease, more: int, bounds: WindowBounds, now_s: float) -> LeaseGrant:
        is_worth_writing = more or held.is_ended or held.expires_s - now_s < self._options.lease_s / 2
        if is_worth_writing:
            expires_s = now_s + self._options.lease_s
            held = replace(held, amount_nano_usd=held.amount_nano_usd + more, expires_s=expires_s, is_ended=False)
            self._commit([held])
        return self._granted(held, bounds, now_s)

    def _granted(self, lease: Lease, bounds: WindowBounds, now_s: float) -> LeaseGrant:
        left_s = None if bounds.end_s is None else bounds.end_s - now_s
        return LeaseGrant(lease.id, lease.amount_nano_usd, lease.expires_s - now_s, left_s)

    def _settle_unleased(self, use: LeaseUse, accounts: dict[AccountKey, Account], now_s: float) -> None:
        budget = self._state.budgets.get(use.scope)
        if budget is None or not use.settled_nano_usd:
            return
        key = AccountKey(use.scope, budget.window, window_at(budget.window, now_s).start_s)
        account = accounts.get(key) or self._account(key)
        accounts[key] = replace(account, settled_nano_usd=account.settled_nano_usd + use.settled_nano_usd)

    def _fold(self, leases: Sequence[Lease], accounts: dict[AccountKey, Account]) -> None:
        """Add to `accounts` what leases that are now forgotten came to."""
        for lease in leases:
            account = accounts.get(lease.account) or self._account(lease.account)
            accounts[lease.account] = replace(
                account,
                settled_nano_usd=account.settled_nano_usd + lease.settled_nano_usd,
                forfeited_nano_usd=account.forfeited_nano_usd + lease.open_nano_usd,
            )

    def _old_accounts(self, now_s: float) -> list[Account]:
        """Accounts of windows that were over long ago and that no lease belongs to."""
        past_s = now_s - self._options.forfeit_kept_s
        old = []
        for key, account in self._state.accounts.items():
            end_s = window_at(key.window, key.start_s).end_s
            if end_s is not None and end_s <= past_s and key not in self._state.leases_of:
                old.append(account)
        return old

    def _old_marks(self, now_s: float) -> list[ReplicaMark]:
        past_s = now_s - self._options.mark_kept_s
        return [mark for mark in self._state.marks.values() if mark.seen_s <= past_s]


def _may_grow(held: Lease | None, request: LeaseRequest, replica: str, account: AccountKey) -> bool:
    """Whether the lease is new to both sides, or one of this replica's in the current window."""
    if held is None:
        return request.known_nano_usd == 0
    return held.replica == replica and held.account == account


def _is_done(lease: Lease) -> bool:
    """Whether nothing more can come of the lease."""
    return lease.is_ended and not lease.open_nano_usd


def _used(lease: Lease, use: LeaseUse) -> Lease:
    return replace(
        lease,
        settled_nano_usd=lease.settled_nano_usd + use.settled_nano_usd,
        returned_nano_usd=min(lease.amount_nano_usd, lease.returned_nano_usd + use.returned_nano_usd),
    )


def _check_amounts(batch: SettlementBatch) -> None:
    if batch.sequence < 1:
        raise ValueError(f"batch {batch.sequence} cannot be: batches count from 1")
    if any(line.attempts < 0 or line.amount_nano_usd < 0 for line in batch.lines) or any(
        use.settled_nano_usd < 0 or use.returned_nano_usd < 0 for use in batch.uses
    ):
        raise ValueError(f"batch {batch.sequence} has a negative amount")
