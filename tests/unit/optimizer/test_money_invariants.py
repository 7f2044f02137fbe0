"""The books and several replicas, with lost, repeated and reordered messages, crashes, expiry and changing caps.

Whatever happens: what is settled, forfeited and leased never exceeds the cap that was set before; what replicas really
spent is in the books or counted as spent; nothing is counted twice; nothing leaks.
"""

import asyncio
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from evolving_ai._common.clock import ManualClock
from evolving_ai.domain.identity import Principal
from evolving_ai.errors import PlatformError, RequestError
from evolving_ai.optimizer.budgets import BudgetBook, BudgetOptions
from evolving_ai.optimizer.leases import LeaseBook, LeaseOptions
from evolving_ai.optimizer.ports import LeaseRequest, SettlementBatch
from evolving_ai.stores.ports.spend import AccountKey, SpendQuery
from evolving_ai.stores.sqlite.spend_store import SqliteSpendStore
from tests.unit.optimizer.local_books import ANN, BOB, Fault, LocalSource

REPLICAS = 3
LONGEST_SILENCE_S = 300  # a batch that is later than its lease is remembered would be counted as new spend
ALL = AccountKey("tenant:acme", "total", 0)
SCOPES = ("key:ann", "tenant:acme")
OPTIONS = BudgetOptions(lease_s=40.0, forfeit_kept_s=1000.0)
LEASES = LeaseOptions(skew_s=2.0, reservation_s=100.0, renew_below_s=20.0)


class Replica:
    """A purse with what it has in flight, and what it truly spent."""

    def __init__(self, name: str, books: BudgetBook, clock: ManualClock) -> None:
        self.name = name
        self.source = LocalSource(books, name)
        self.purse = LeaseBook(self.source, clock, replica=name, options=LEASES)
        self.purse.update_limits(books.limits())
        self.in_flight: list[tuple[int, int, Principal]] = []


class Money(RuleBasedStateMachine):
    """Rules are what can happen; `spent` is the truth that no book may contradict."""

    @initialize(is_calm=st.booleans())
    def start(self, is_calm: bool) -> None:
        """A calm run has no event that may cost money that nobody spent: at its end the books are exact."""
        self.is_calm = is_calm
        self.stack = ExitStack()
        folder = self.stack.enter_context(TemporaryDirectory())
        self.path = Path(folder) / "spend.db"
        self.runner = self.stack.enter_context(asyncio.Runner())
        self.clock = ManualClock(datetime(2026, 1, 1, 23, 55, tzinfo=UTC))
        self.store = SqliteSpendStore.open(self.path)
        self.books = BudgetBook(self.store, self.clock, options=OPTIONS)
        self.highest_cap: dict[AccountKey, int] = {}
        self.set_cap("key:ann", 10_000, "300s")
        self.set_cap("tenant:acme", 15_000, "total")
        self.started = 0
        self.replicas = [self.new_replica() for _ in range(REPLICAS)]
        self.delivered: list[tuple[str, SettlementBatch]] = []
        self.requests: list[tuple[str, LeaseRequest]] = []
        self.spent: Counter[str] = Counter()
        self.handed_over: Counter[str] = Counter()
        self.silent_s: Counter[str] = Counter()

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            try:
                self.everything_ends_well()
            finally:
                self.store.close()
                self.stack.close()

    def new_replica(self) -> Replica:
        self.started += 1
        return Replica(f"r{self.started}", self.books, self.clock)

    def set_cap(self, scope: str, cap: int, window: str) -> None:
        self.books.set_budget(scope, cap, window)
        self.note_caps()

    def note_caps(self) -> None:
        for status in self.books.budgets():
            key = AccountKey(status.budget.scope, status.budget.window, status.start_s)
            self.highest_cap[key] = max(self.highest_cap.get(key, 0), status.budget.cap_nano_usd)

    def fault_of(self, fault: Fault) -> Fault:
        return Fault.NONE if self.is_calm and fault is Fault.LOST_ANSWER else fault

    def of(self, number: int) -> Replica:
        return self.replicas[number]

    which = st.integers(0, REPLICAS - 1)
    faults = st.sampled_from(Fault)

    # --- Requests -----------------------------------------------------------------------------------------------------

    @rule(number=which, amount=st.integers(0, 3000), fault=faults, who=st.sampled_from([ANN, BOB]))
    def reserve(self, number: int, amount: int, fault: Fault, who: Principal) -> None:
        replica = self.of(number)
        replica.source.fault = self.fault_of(fault)
        try:
            reservation = self.runner.run(replica.purse.reserve(who, amount))
        except RequestError as exc:
            assert exc.code in ("budget_exceeded", "budget_unavailable")  # noqa: PT017
        else:
            replica.in_flight.append((reservation, amount, who))
        self.requests += [(replica.name, request) for request in replica.source.asked]
        replica.source.asked.clear()

    @rule(number=which, place=st.integers(0, 9), share=st.floats(0, 1))
    def settle(self, number: int, place: int, share: float) -> None:
        replica = self.of(number)
        if replica.in_flight:
            reservation, amount, who = replica.in_flight.pop(place % len(replica.in_flight))
            if reservation and reservation not in replica.purse._reservations:
                return  # overdue: spent in full already, see `maintain`
            cost = int(amount * share)
            self.spent[f"key:{who.key_id}"] += cost
            replica.purse.settle(reservation, who, "openai/small", cost)

    # --- Messages -----------------------------------------------------------------------------------------------------

    @rule(number=which, is_acknowledged=st.booleans())
    def hand_over(self, number: int, is_acknowledged: bool) -> None:
        replica = self.of(number)
        self.silent_s[replica.name] = 0
        batch = replica.purse.drain()
        if batch is None:
            return
        self.take_over(replica.name, batch)
        if is_acknowledged:
            replica.purse.acknowledge(batch.sequence)

    def take_over(self, name: str, batch: SettlementBatch) -> None:
        is_new = self.books.apply(name, batch)
        assert is_new == ((name, batch) not in self.delivered)
        if is_new:
            self.delivered.append((name, batch))
            for line in batch.lines:
                self.handed_over[f"key:{line.key_id}"] += line.amount_nano_usd

    @precondition(lambda self: getattr(self, "delivered", []))
    @rule(data=st.data())
    def an_old_batch_arrives_again(self, data: st.DataObject) -> None:
        name, batch = data.draw(st.sampled_from(self.delivered))
        assert not self.books.apply(name, batch)

    @precondition(lambda self: getattr(self, "requests", []) and not self.is_calm)
    @rule(data=st.data())
    def an_old_request_arrives_again(self, data: st.DataObject) -> None:
        name, request = data.draw(st.sampled_from(self.requests))
        self.books.lease(name, request)  # and nobody gets the answer

    # --- Time, crashes, operators -------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.5, 5.0, 30.0, 120.0, 301.0]), fault=faults)
    def time_passes(self, seconds: float, fault: Fault) -> None:
        self.clock.advance(seconds)
        self.note_caps()
        for number, replica in enumerate(self.replicas):
            replica.source.fault = self.fault_of(fault)
            self.maintain(replica)
            self.silent_s[replica.name] += int(seconds)
            if self.silent_s[replica.name] > LONGEST_SILENCE_S:
                self.hand_over(number, False)
        self.books.expire()

    def maintain(self, replica: Replica) -> None:
        overdue = dict(replica.purse._reservations)
        try:
            self.runner.run(replica.purse.maintain())
        except PlatformError:
            assert replica.source.fault is not Fault.NONE
        for number, held in overdue.items():
            if number not in replica.purse._reservations:
                self.spent[f"key:{held.key_id}"] += held.amount

    @rule()
    def the_books_look_for_what_expired(self) -> None:
        self.books.expire()

    @precondition(lambda self: not getattr(self, "is_calm", True))
    @rule(number=which)
    def a_replica_is_killed(self, number: int) -> None:
        self.lose(self.of(number))
        self.replicas[number] = self.new_replica()

    def lose(self, replica: Replica) -> None:
        """What it did not hand over is known to nobody; what it had in flight may have cost all that it could."""
        for held in replica.purse._reservations.values():
            self.spent[f"key:{held.key_id}"] += held.amount

    @rule(number=which)
    def a_replica_stops(self, number: int) -> None:
        replica = self.of(number)
        replica.source.fault = Fault.NONE
        for reservation, _, who in replica.in_flight:
            replica.purse.settle(reservation, who, "openai/small", 0)
        self.runner.run(replica.purse.close())
        while (batch := replica.purse.drain()) is not None:
            self.take_over(replica.name, batch)
            replica.purse.acknowledge(batch.sequence)
        self.replicas[number] = self.new_replica()

    @rule()
    def control_is_killed(self) -> None:
        self.store.close()
        self.store = SqliteSpendStore.open(self.path)
        self.books = BudgetBook(self.store, self.clock, options=OPTIONS)
        for replica in self.replicas:
            replica.source.books = self.books

    @rule(scope=st.sampled_from(SCOPES), cap=st.integers(0, 30_000))
    def the_cap_changes(self, scope: str, cap: int) -> None:
        status = self.books.status(scope)
        assert status is not None
        self.set_cap(scope, cap, status.budget.window)

    # --- What must hold -----------------------------------------------------------------------------------------------

    def committed(self) -> Counter[AccountKey]:
        """What each window of each scope comes to, as the file says."""
        state = self.store.load()
        committed: Counter[AccountKey] = Counter()
        for account in state.accounts.values():
            committed[account.key] += account.settled_nano_usd + account.forfeited_nano_usd
        for lease in state.leases.values():
            committed[lease.account] += lease.committed_nano_usd
        return committed

    @invariant()
    def no_budget_is_exceeded(self) -> None:
        if hasattr(self, "books"):
            committed = self.committed()
            assert all(total <= self.highest_cap[key] for key, total in committed.items())
            for status in self.books.budgets():
                parts = (status.settled_nano_usd, status.leased_nano_usd, status.forfeited_nano_usd)
                key = AccountKey(status.budget.scope, status.budget.window, status.start_s)
                assert min(parts) >= 0
                assert sum(parts) == committed[key]

    @invariant()
    def the_roll_up_is_the_sum_of_what_was_handed_over(self) -> None:
        if hasattr(self, "books"):
            lines = self.books.spend(SpendQuery(by=frozenset({"key_id"})))
            assert {f"key:{line.key_id}": line.amount_nano_usd for line in lines} == dict(self.handed_over)

    @invariant()
    def nothing_was_spent_that_is_not_counted(self) -> None:
        if hasattr(self, "books"):
            assert self.spent.total() <= self.committed()[ALL]

    @invariant()
    def replicas_hold_no_more_than_they_were_given(self) -> None:
        if hasattr(self, "books"):
            leases = self.store.load().leases
            for replica in self.replicas:
                for wallet in replica.purse._wallets.values():
                    if wallet.lease is not None and wallet.lease.id in leases:
                        assert 0 <= wallet.lease.free <= leases[wallet.lease.id].open_nano_usd

    def everything_ends_well(self) -> None:
        """Once all have stopped and what died has expired, nothing is reserved or leased any more."""
        for number in range(REPLICAS):
            self.a_replica_stops(number)
        self.clock.advance(OPTIONS.lease_s)
        self.books.expire()
        state: Any = self.store.load()
        assert all(lease.is_ended for lease in state.leases.values())
        assert all(status.leased_nano_usd == 0 for status in self.books.budgets())
        self.no_budget_is_exceeded()
        self.nothing_was_spent_that_is_not_counted()
        self.the_roll_up_is_the_sum_of_what_was_handed_over()
        if self.is_calm:
            assert self.committed()[ALL] == self.spent.total() == self.handed_over.total()
            assert not any(lease.open_nano_usd for lease in state.leases.values())


TestMoney = Money.TestCase
TestMoney.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
