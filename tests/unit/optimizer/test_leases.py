"""The purse of a replica: reservations, and how money comes and goes."""

import asyncio
from datetime import UTC, datetime
from inspect import signature

import pytest

from evolving_ai._common.clock import ManualClock
from evolving_ai.errors import PlatformError, RequestError, StorageError
from evolving_ai.optimizer.budgets import BudgetBook, BudgetStatus
from evolving_ai.optimizer.leases import LeaseBook
from evolving_ai.optimizer.ports import (
    LeaseGrant,
    LeaseRefusal,
    LeaseRequest,
    LeaseUse,
    Refusal,
    SettlementBatch,
    answer_from_json,
)
from evolving_ai.router.ports import Purse
from evolving_ai.stores.inmemory.spend_store import InMemorySpendStore
from evolving_ai.stores.ports.spend import SpendQuery
from tests.unit.optimizer.local_books import ANN, BOB, Fault, LocalSource

CAP = 1_000_000
TARGET = "openai/small"


class World:
    """Books with a budget for ann and for her tenant, and one replica."""

    def __init__(self) -> None:
        self.clock = ManualClock(datetime(2026, 1, 1, 12, tzinfo=UTC))
        self.books = BudgetBook(InMemorySpendStore(), self.clock)
        self.books.set_budget("key:ann", CAP, "day")
        self.books.set_budget("tenant:acme", CAP, "total")
        self.source = LocalSource(self.books, "r1")
        self.purse = LeaseBook(self.source, self.clock, replica="r1")
        self.purse.update_limits(self.books.limits())

    def deliver(self) -> None:
        while (batch := self.purse.drain()) is not None:
            self.books.apply("r1", batch)
            self.purse.acknowledge(batch.sequence)

    def status(self, scope: str = "key:ann") -> BudgetStatus:
        found = self.books.status(scope)
        assert found is not None
        return found

    async def spend(self, amount: int, seconds: int) -> None:
        """One attempt a second, and what is done once a second."""
        for _ in range(seconds):
            reservation = await self.purse.reserve(ANN, amount)
            self.purse.settle(reservation, ANN, TARGET, amount)
            self.clock.advance(1)
            await self.purse.maintain()
            self.deliver()


@pytest.fixture
def world() -> World:
    return World()


def as_purse(book: LeaseBook) -> Purse:
    return book


# --- Reserving and settling -------------------------------------------------------------------------------------------


def test_it_is_a_purse_of_the_request_path(world: World) -> None:
    purse = as_purse(world.purse)

    for name in ("try_reserve", "reserve", "settle"):
        ours, theirs = signature(getattr(purse, name)), signature(getattr(Purse, name))
        assert list(ours.parameters) == list(theirs.parameters)[1:]


def test_the_first_reservation_takes_leases_and_the_next_need_nobody(world: World) -> None:
    assert world.purse.try_reserve(ANN, 100) is None

    assert asyncio.run(world.purse.reserve(ANN, 100)) == 1

    assert [request.scope for request in world.source.asked] == ["key:ann", "tenant:acme"]
    assert [world.purse.try_reserve(ANN, 100) for _ in range(5)] == [2, 3, 4, 5, 6]
    assert len(world.source.asked) == 2


def test_all_scopes_of_a_principal_pay_or_none(world: World) -> None:
    world.books.set_budget("tenant:acme", 100, "total")
    first = asyncio.run(world.purse.reserve(ANN, 100))

    with pytest.raises(RequestError, match="tenant acme"):
        asyncio.run(world.purse.reserve(ANN, 100))

    world.purse.settle(first, ANN, TARGET, 0)
    world.purse.return_all()
    world.deliver()
    assert world.status().remaining_nano_usd == CAP
    assert world.status("tenant:acme").remaining_nano_usd == 100


def test_nobody_is_limited_without_a_budget_and_his_spend_is_recorded(world: World) -> None:
    world.purse.update_limits(frozenset({"key:ann"}))

    assert world.purse.try_reserve(BOB, 10**15) == 0
    world.purse.settle(0, BOB, TARGET, 70)
    world.purse.settle(0, BOB, TARGET, 7)
    world.deliver()

    (line,) = world.books.spend(SpendQuery())
    assert line == ("2026-01-01", "acme", "bob", TARGET, 2, 77)
    assert world.source.asked == []


def test_before_the_limits_are_known_nobody_is_served(world: World) -> None:
    purse = LeaseBook(world.source, world.clock, replica="r2")

    assert purse.try_reserve(ANN, 1) is None
    with pytest.raises(RequestError) as caught:
        asyncio.run(purse.reserve(ANN, 1))
    assert caught.value.code == "budget_unavailable"


def test_a_budget_that_is_gone_limits_nobody_also_when_the_replica_was_not_told(world: World) -> None:
    world.books.remove_budget("key:ann")
    world.books.remove_budget("tenant:acme")

    assert asyncio.run(world.purse.reserve(ANN, 100)) == 0


def test_what_is_settled_reaches_the_books_once(world: World) -> None:
    reservation = asyncio.run(world.purse.reserve(ANN, 100))
    world.purse.settle(reservation, ANN, TARGET, 40)
    world.purse.settle(reservation, ANN, TARGET, 40)
    world.purse.settle(4711, ANN, TARGET, 40)

    world.deliver()

    assert world.status().settled_nano_usd == 40
    assert world.status("tenant:acme").settled_nano_usd == 40
    assert [line.amount_nano_usd for line in world.books.spend(SpendQuery())] == [40]


def test_settling_with_nothing_gives_all_of_it_back(world: World) -> None:
    reservation = asyncio.run(world.purse.reserve(ANN, CAP))
    assert world.purse.try_reserve(ANN, 1) is None

    world.purse.settle(reservation, ANN, TARGET, 0)

    assert world.purse.try_reserve(ANN, CAP) is not None


def test_a_cost_above_its_reservation_is_settled_in_full_and_counted(world: World) -> None:
    reservation = asyncio.run(world.purse.reserve(ANN, 100))
    world.purse.settle(reservation, ANN, TARGET, 5000)
    world.deliver()

    assert world.purse.overruns == 1
    assert world.status().settled_nano_usd == 5000
    assert world.status().remaining_nano_usd == CAP - 5000
    again = asyncio.run(world.purse.reserve(ANN, 100))
    world.purse.settle(again, ANN, TARGET, 100)
    world.purse.return_all()
    world.deliver()
    assert (world.status().settled_nano_usd, world.status().leased_nano_usd) == (5100, 0)


def test_a_reservation_that_nobody_settles_is_spent_in_full(world: World) -> None:
    forgotten = asyncio.run(world.purse.reserve(ANN, 100))
    world.clock.advance(899)
    asyncio.run(world.purse.maintain())
    assert world.purse.forgotten == 0
    world.clock.advance(1)

    asyncio.run(world.purse.maintain())
    world.purse.settle(forgotten, ANN, TARGET, 1)
    world.deliver()

    assert world.purse.forgotten == 1
    assert world.status().settled_nano_usd == 100
    assert [(line.target, line.amount_nano_usd) for line in world.books.spend(SpendQuery())] == [("unsettled", 100)]


@pytest.mark.parametrize("reservation", [0, 1])
def test_negative_amounts_are_refused(world: World, reservation: int) -> None:
    asyncio.run(world.purse.reserve(ANN, 100))

    with pytest.raises(ValueError, match="0 or more"):
        world.purse.try_reserve(ANN, -1)
    with pytest.raises(ValueError, match="0 or more"):
        world.purse.settle(reservation, ANN, TARGET, -1)


def test_spend_is_filed_under_the_day_on_which_it_was_settled(world: World) -> None:
    world.purse.update_limits(frozenset())
    world.purse.settle(0, ANN, TARGET, 1)
    world.clock.advance(12 * 3600 - 1)
    world.purse.settle(0, ANN, TARGET, 2)
    world.clock.advance(1)
    world.purse.settle(0, ANN, TARGET, 4)
    world.deliver()

    days = {line.day: line.amount_nano_usd for line in world.books.spend(SpendQuery())}
    assert days == {"2026-01-01": 3, "2026-01-02": 4}


# --- Refusals ---------------------------------------------------------------------------------------------------------


def test_a_refusal_says_which_budget_what_remains_and_when_the_window_ends(world: World) -> None:
    world.books.set_budget("key:ann", 2_000_000_000, "day")

    with pytest.raises(RequestError) as caught:
        asyncio.run(world.purse.reserve(ANN, 3_000_000_000))

    assert caught.value.code == "budget_exceeded"
    assert str(caught.value) == (
        "the budget of key ann is used up: 2.000000 of 2.000000 USD remain until 2026-01-02 00:00:00 UTC, "
        "and this attempt may cost 3.000000"
    )
    assert caught.value.retry_after_s == 12 * 3600
    assert caught.value.hint is not None


def test_a_refusal_of_a_total_budget_names_no_end(world: World) -> None:
    world.purse.update_limits(frozenset({"tenant:acme"}))

    with pytest.raises(RequestError, match="remain in all") as caught:
        asyncio.run(world.purse.reserve(ANN, CAP + 1))

    assert caught.value.retry_after_s is None


def test_who_is_refused_while_others_hold_reservations_is_told_to_come_back_soon(world: World) -> None:
    asyncio.run(world.purse.reserve(ANN, CAP))

    with pytest.raises(RequestError, match="key ann") as caught:
        asyncio.run(world.purse.reserve(ANN, 1))

    assert caught.value.retry_after_s == 1.0


def test_a_refusal_is_believed_for_a_second(world: World) -> None:
    for _ in range(5):
        with pytest.raises(RequestError):
            asyncio.run(world.purse.reserve(ANN, CAP + 1))
    assert len(world.source.asked) == 1

    world.books.set_budget("key:ann", 3 * CAP, "day")
    world.books.set_budget("tenant:acme", 3 * CAP, "total")
    world.clock.advance(1)

    assert asyncio.run(world.purse.reserve(ANN, CAP + 1)) == 1


def test_a_refusal_of_much_does_not_refuse_little(world: World) -> None:
    with pytest.raises(RequestError):
        asyncio.run(world.purse.reserve(ANN, CAP + 1))

    assert asyncio.run(world.purse.reserve(ANN, 10)) == 1


def test_without_control_what_is_at_hand_is_spent_and_then_refused(world: World) -> None:
    asyncio.run(world.purse.reserve(ANN, 1000))
    world.source.fault = Fault.LOST_REQUEST
    count = 0
    while world.purse.try_reserve(ANN, 1000):
        count += 1

    with pytest.raises(RequestError) as caught:
        asyncio.run(world.purse.reserve(ANN, 1000))

    assert count == 15
    assert caught.value.code == "budget_unavailable"
    assert caught.value.retry_after_s is not None


def test_books_that_cannot_be_written_refuse_for_now_and_break_nothing(world: World) -> None:
    class FullDisk(LocalSource):
        async def lease(self, request: LeaseRequest) -> LeaseGrant | LeaseRefusal:
            raise StorageError("no disk space left")

    purse = LeaseBook(FullDisk(world.books, "r1"), world.clock, replica="r1")
    purse.update_limits(world.books.limits())

    with pytest.raises(RequestError, match="cannot be asked for now") as caught:
        asyncio.run(purse.reserve(ANN, 10))

    assert caught.value.code == "budget_unavailable"


# --- Leases -----------------------------------------------------------------------------------------------------------


def test_one_request_for_a_lease_serves_everybody_who_waits(world: World) -> None:
    async def at_once() -> list[int]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(world.purse.reserve(ANN, 10)) for _ in range(16)]
        return [task.result() for task in tasks]

    assert sorted(asyncio.run(at_once())) == list(range(1, 17))
    assert len(world.source.asked) == 2


def test_a_caller_who_goes_away_does_not_take_the_lease_with_him(world: World) -> None:
    arrived = asyncio.Event()

    class SlowSource(LocalSource):
        async def lease(self, request: LeaseRequest) -> LeaseGrant | LeaseRefusal:
            answer = await super().lease(request)
            arrived.set()
            await asyncio.sleep(0)
            return answer

    async def leave() -> None:
        caller = asyncio.create_task(purse.reserve(ANN, 10))
        await arrived.wait()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        await purse.close()

    purse = LeaseBook(SlowSource(world.books, "r1"), world.clock, replica="r1")
    purse.update_limits(world.books.limits())
    asyncio.run(leave())

    batch = purse.drain()
    assert batch is not None
    world.books.apply("r1", batch)
    assert world.status().leased_nano_usd == 0


@pytest.mark.parametrize("fault", [Fault.LOST_ANSWER, Fault.TWICE])
def test_money_in_a_lost_or_repeated_answer_is_not_lost(world: World, fault: Fault) -> None:
    async def ask_twice() -> None:
        world.source.fault = fault
        if fault is Fault.LOST_ANSWER:
            with pytest.raises(RequestError):
                await world.purse.reserve(ANN, 10)
            world.source.fault = Fault.NONE
        world.purse.settle(await world.purse.reserve(ANN, 10), ANN, TARGET, 10)

    asyncio.run(ask_twice())
    world.purse.return_all()
    world.deliver()

    assert (world.status().settled_nano_usd, world.status().leased_nano_usd) == (10, 0)


def test_it_asks_for_more_before_it_is_short(world: World) -> None:
    async def steady() -> None:
        await world.spend(100, 60)
        world.source.asked.clear()
        await world.spend(100, 60)

    asyncio.run(steady())

    assert world.source.asked
    assert {request.minimum_nano_usd for request in world.source.asked} == {0}


def test_half_a_minute_without_control_stops_nobody_whose_budget_is_large(world: World) -> None:
    async def outage() -> None:
        await world.spend(100, 130)
        world.source.fault = Fault.LOST_REQUEST
        for _ in range(30):
            reservation = world.purse.try_reserve(ANN, 100)
            assert reservation
            world.purse.settle(reservation, ANN, TARGET, 100)
            world.clock.advance(1)
            try:
                await world.purse.maintain()
            except PlatformError:
                continue

    for _ in range(40):  # wherever in the life of a lease it happens
        asyncio.run(outage())
        world.source.fault = Fault.NONE
        world.clock.advance(3.1)
        asyncio.run(world.purse.maintain())
        world.deliver()
        world.books.set_budget("key:ann", 10**9, "day")
        world.books.set_budget("tenant:acme", 10**9, "total")


def test_what_is_too_much_is_given_back(world: World) -> None:
    async def calm_down() -> None:
        world.purse.settle(await world.purse.reserve(ANN, 10_000), ANN, TARGET, 10)
        for _ in range(30):
            world.clock.advance(1)
            await world.purse.maintain()
            world.deliver()

    asyncio.run(calm_down())

    assert 0 < world.status().leased_nano_usd < 100_000


def test_an_idle_wallet_is_emptied(world: World) -> None:
    async def idle() -> None:
        world.purse.settle(await world.purse.reserve(ANN, 10_000), ANN, TARGET, 10)
        for _ in range(700):
            world.clock.advance(1)
            world.books.expire()
            await world.purse.maintain()
            world.deliver()

    asyncio.run(idle())

    assert (world.status().leased_nano_usd, world.status().forfeited_nano_usd) == (0, 0)


def test_leases_are_renewed_before_they_end(world: World) -> None:
    async def hold() -> None:
        await world.purse.reserve(ANN, 10)
        for _ in range(300):
            world.clock.advance(1)
            await world.purse.maintain()
            assert world.books.expire() == 0

    asyncio.run(hold())

    assert len(world.source.renewed) < 10


def test_a_lease_that_may_have_ended_is_not_used_until_it_is_renewed(world: World) -> None:
    asyncio.run(world.purse.reserve(ANN, 10))
    world.clock.advance(114.9)
    assert world.purse.try_reserve(ANN, 10) is not None

    world.clock.advance(0.1)
    assert world.purse.try_reserve(ANN, 10) is None

    assert asyncio.run(world.purse.reserve(ANN, 10)) is not None
    assert world.purse.try_reserve(ANN, 10) is not None


def test_a_lease_that_was_forfeited_in_an_outage_comes_back(world: World) -> None:
    asyncio.run(world.purse.reserve(ANN, 10))
    world.clock.advance(200)
    world.books.expire()
    assert world.status().forfeited_nano_usd == 160

    asyncio.run(world.purse.maintain())

    assert (world.status().forfeited_nano_usd, world.status().leased_nano_usd) == (0, 160)
    assert world.purse.try_reserve(ANN, 10) is not None


def test_reservations_settle_in_the_window_of_their_lease(world: World) -> None:
    world.clock.advance(12 * 3600 - 10)
    late = asyncio.run(world.purse.reserve(ANN, 60))
    world.clock.advance(20)
    assert world.purse.try_reserve(ANN, 10) is None

    tomorrow = asyncio.run(world.purse.reserve(ANN, 7))
    world.purse.settle(late, ANN, TARGET, 50)
    world.purse.settle(tomorrow, ANN, TARGET, 7)
    world.deliver()

    assert world.status().settled_nano_usd == 7
    assert world.status("tenant:acme").settled_nano_usd == 57


def test_the_last_second_of_a_window_is_served(world: World) -> None:
    world.clock.advance(12 * 3600 - 0.5)
    assert asyncio.run(world.purse.reserve(ANN, 10)) is not None
    assert world.purse.try_reserve(ANN, 10) is not None

    world.clock.advance(0.5)

    assert world.purse.try_reserve(ANN, 10) is None
    assert asyncio.run(world.purse.reserve(ANN, 10)) is not None
    assert world.status().leased_nano_usd > 0


def test_a_scope_that_is_limited_no_more_gives_its_lease_back(world: World) -> None:
    reservation = asyncio.run(world.purse.reserve(ANN, 100))

    world.purse.update_limits(frozenset())
    assert world.purse.try_reserve(ANN, 10) == 0
    world.purse.settle(reservation, ANN, TARGET, 60)
    world.deliver()

    assert (world.status().settled_nano_usd, world.status().leased_nano_usd) == (60, 0)


# --- Handing over -----------------------------------------------------------------------------------------------------


def test_an_unacknowledged_batch_is_offered_again_unchanged(world: World) -> None:
    world.purse.update_limits(frozenset())
    world.purse.settle(0, ANN, TARGET, 1)
    first = world.purse.drain()
    assert first is not None
    world.purse.settle(0, ANN, TARGET, 2)

    assert world.purse.drain() == first
    world.purse.acknowledge(7)
    assert world.purse.drain() == first
    world.purse.acknowledge(1)
    second = world.purse.drain()

    assert second is not None
    assert (second.sequence, second.lines[0].amount_nano_usd) == (2, 2)
    world.purse.acknowledge(2)
    assert world.purse.drain() is None


def test_messages_survive_json() -> None:
    batch = SettlementBatch(3, (("2026-01-01", "t", "k", "m", 1, 2),), (LeaseUse("r1.1", "key:k", 5, 6),))  # type: ignore[arg-type]
    grant = LeaseGrant("r1.1", 5, 120.0, None)
    refusal = LeaseRefusal(Refusal.EXHAUSTED, 1, 2, 3.0)
    request = LeaseRequest("r1.1", "key:k", 1, 2, 3)

    assert SettlementBatch.from_json(batch.to_json()) == batch
    assert answer_from_json(grant.to_json()) == grant
    assert answer_from_json(refusal.to_json()) == refusal
    assert LeaseRequest(**request.to_json()) == request
