"""The books: what they lease, what they count, what they refuse."""

from datetime import UTC, datetime

import pytest

from evolving_ai._common.clock import ManualClock
from evolving_ai.errors import StorageError, UsageError
from evolving_ai.optimizer.budgets import BudgetBook, BudgetOptions, BudgetStatus
from evolving_ai.optimizer.ports import LeaseGrant, LeaseRefusal, LeaseRequest, LeaseUse, Refusal, SettlementBatch
from evolving_ai.stores.inmemory.spend_store import InMemorySpendStore
from evolving_ai.stores.ports.spend import SpendChange, SpendLine, SpendQuery

SCOPE = "key:ann"
CAP = 1000
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LINE = SpendLine("2026-01-01", "acme", "ann", "openai/small", 1, 10)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def store() -> InMemorySpendStore:
    return InMemorySpendStore()


@pytest.fixture
def books(store: InMemorySpendStore, clock: ManualClock) -> BudgetBook:
    opened = BudgetBook(store, clock)
    opened.set_budget(SCOPE, CAP, "day")
    return opened


def ask(
    books: BudgetBook, wanted: int, minimum: int = 0, *, known: int = 0, lease: str = "r1.1", replica: str = "r1"
) -> LeaseGrant | LeaseRefusal:
    return books.lease(replica, LeaseRequest(lease, SCOPE, wanted, minimum, known))


def granted(books: BudgetBook, wanted: int, minimum: int = 0, **more: object) -> LeaseGrant:
    answer = ask(books, wanted, minimum, **more)  # type: ignore[arg-type]
    assert isinstance(answer, LeaseGrant)
    return answer


def refused(answer: LeaseGrant | LeaseRefusal) -> LeaseRefusal:
    assert isinstance(answer, LeaseRefusal)
    return answer


def status(books: BudgetBook) -> BudgetStatus:
    found = books.status(SCOPE)
    assert found is not None
    return found


def amounts(books: BudgetBook) -> tuple[int, int, int, int]:
    now = status(books)
    return now.settled_nano_usd, now.leased_nano_usd, now.forfeited_nano_usd, now.remaining_nano_usd


def used(settled: int = 0, returned: int = 0, *, sequence: int = 1, lease: str = "r1.1") -> SettlementBatch:
    return SettlementBatch(sequence, (), (LeaseUse(lease, SCOPE, settled, returned),))


# --- Budgets ----------------------------------------------------------------------------------------------------------


def test_budgets_are_listed_by_scope_and_known_to_replicas(books: BudgetBook) -> None:
    books.set_budget("tenant:acme", 5, "total")

    assert [status.budget.scope for status in books.budgets()] == [SCOPE, "tenant:acme"]
    assert books.limits() == {SCOPE, "tenant:acme"}
    assert books.remove_budget("tenant:acme")
    assert not books.remove_budget("tenant:acme")
    assert books.limits() == {SCOPE}
    assert books.status("tenant:acme") is None


@pytest.mark.parametrize(
    ("scope", "cap", "window", "expected"),
    [
        ("ann", 1, "day", "expected key:<key id> or tenant:<tenant>"),
        ("key:", 1, "day", "expected key:<key id> or tenant:<tenant>"),
        ("user:ann", 1, "day", "expected key:<key id> or tenant:<tenant>"),
        (SCOPE, -1, "day", "out of range"),
        (SCOPE, 10**19, "day", "out of range"),
        (SCOPE, 1, "week", "no budget window"),
    ],
)
def test_an_impossible_budget_is_refused(books: BudgetBook, scope: str, cap: int, window: str, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        books.set_budget(scope, cap, window)
    assert status(books).budget.cap_nano_usd == CAP


def test_a_new_window_begins_with_nothing_spent(books: BudgetBook, clock: ManualClock) -> None:
    granted(books, 400)
    books.apply("r1", used(400))
    assert amounts(books) == (400, 0, 0, 600)

    clock.advance(12 * 3600)

    assert amounts(books) == (0, 0, 0, CAP)
    assert status(books).start_s == datetime(2026, 1, 2, tzinfo=UTC).timestamp()


def test_a_clock_that_is_set_back_does_not_enter_a_window_again(store: InMemorySpendStore) -> None:
    clock = ManualClock(datetime(2026, 1, 2, 0, 0, 1, tzinfo=UTC))
    books = BudgetBook(store, clock)
    books.set_budget(SCOPE, CAP, "day")
    granted(books, 400)

    clock._start = datetime(2026, 1, 1, 23, 59, 59, tzinfo=UTC)

    assert amounts(books) == (0, 400, 0, 600)


def test_removing_a_budget_and_setting_it_again_goes_on_with_its_count(books: BudgetBook) -> None:
    granted(books, 400)
    books.remove_budget(SCOPE)
    books.apply("r1", used(300, 100))
    books.set_budget(SCOPE, CAP, "day")

    assert amounts(books) == (300, 0, 0, 700)


# --- Leases -----------------------------------------------------------------------------------------------------------


def test_a_lease_is_debited_before_it_is_answered(books: BudgetBook, store: InMemorySpendStore) -> None:
    grant = granted(books, 100)

    assert grant == LeaseGrant("r1.1", 100, 120.0, 12 * 3600.0)
    assert store.load().leases["r1.1"].amount_nano_usd == 100
    assert amounts(books) == (0, 100, 0, 900)


def test_a_lease_that_could_not_be_written_was_not_given(clock: ManualClock) -> None:
    class FullDisk(InMemorySpendStore):
        is_full = False

        def commit(self, change: SpendChange) -> None:
            if self.is_full:
                raise StorageError("no disk space left")
            super().commit(change)

    store = FullDisk()
    books = BudgetBook(store, clock)
    books.set_budget(SCOPE, CAP, "day")
    store.is_full = True

    with pytest.raises(StorageError):
        ask(books, 100)

    assert amounts(books) == (0, 0, 0, CAP)


def test_leases_shrink_as_the_budget_empties_and_never_pass_the_cap(books: BudgetBook) -> None:
    given = [granted(books, CAP, 10, lease=f"r{n % 2}.{n}", replica=f"r{n % 2}").amount_nano_usd for n in range(6)]

    assert given == [500, 125, 93, 70, 53, 39]
    while isinstance(answer := ask(books, CAP, 10, lease=f"more.{len(given)}"), LeaseGrant):
        given.append(answer.amount_nano_usd)
    assert CAP - 10 < sum(given) <= CAP
    assert refused(answer).remaining_nano_usd == CAP - sum(given)


def test_the_minimum_is_met_while_it_remains(books: BudgetBook) -> None:
    assert granted(books, 0, 900).amount_nano_usd == 900
    refusal = refused(ask(books, 0, 101, lease="r2.1", replica="r2"))

    assert refusal == LeaseRefusal(Refusal.EXHAUSTED, 100, CAP, 12 * 3600.0)


def test_a_request_that_comes_twice_is_debited_once(books: BudgetBook) -> None:
    first = granted(books, 100, 50)

    assert granted(books, 100, 50) == first
    assert amounts(books) == (0, 100, 0, 900)


def test_a_lost_answer_is_part_of_the_next_one(books: BudgetBook) -> None:
    granted(books, 100, 50)

    grant = granted(books, 150, 120, known=0)

    assert grant.amount_nano_usd == 150
    assert amounts(books) == (0, 150, 0, 850)


def test_nobody_limits_a_scope_without_a_budget(books: BudgetBook) -> None:
    answer = books.lease("r1", LeaseRequest("r1.1", "key:bob", 10, 10, 0))

    assert refused(answer).reason is Refusal.NO_BUDGET


@pytest.mark.parametrize(("known", "lease", "replica"), [(100, "r1.9", "r1"), (0, "r1.1", "r2"), (100, "r1.1", "r2")])
def test_a_lease_that_is_not_known_here_or_is_anothers_cannot_grow(
    books: BudgetBook, known: int, lease: str, replica: str
) -> None:
    granted(books, 100)

    assert refused(ask(books, 100, known=known, lease=lease, replica=replica)).reason is Refusal.ENDED
    assert amounts(books) == (0, 100, 0, 900)


def test_a_lease_of_a_past_window_cannot_grow_or_be_renewed(books: BudgetBook, clock: ManualClock) -> None:
    granted(books, 100)
    clock.advance(12 * 3600)

    assert refused(ask(books, 100, known=100)).reason is Refusal.ENDED
    assert books.renew("r1", ["r1.1"]) == {}


def test_lowering_the_cap_refuses_leases_and_lets_those_out_stand(books: BudgetBook) -> None:
    granted(books, 400)

    books.set_budget(SCOPE, 300, "day")

    assert refused(ask(books, 1, 1, known=400)).remaining_nano_usd == 0
    assert books.renew("r1", ["r1.1"])["r1.1"].amount_nano_usd == 400
    books.apply("r1", used(400))
    assert amounts(books) == (400, 0, 0, 0)


def test_another_window_ends_leases_of_the_old_one(books: BudgetBook) -> None:
    granted(books, 400)

    books.set_budget(SCOPE, CAP, "month")

    assert books.renew("r1", ["r1.1"]) == {}
    books.apply("r1", used(400))
    assert amounts(books) == (0, 0, 0, CAP)


@pytest.mark.parametrize("request_", [(-1, 0, 0), (0, -1, 0), (0, 0, -1)])
def test_negative_wishes_are_refused(books: BudgetBook, request_: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="0 or more"):
        books.lease("r1", LeaseRequest("r1.1", SCOPE, *request_))


# --- Settling ---------------------------------------------------------------------------------------------------------


def test_what_is_settled_or_returned_is_leased_no_more(books: BudgetBook) -> None:
    granted(books, 100)

    assert books.apply("r1", used(30, 50))

    assert amounts(books) == (30, 20, 0, 950)


def test_a_batch_that_comes_twice_or_late_counts_once(books: BudgetBook) -> None:
    granted(books, 400)
    batches = [SettlementBatch(n, (LINE,), (LeaseUse("r1.1", SCOPE, 10, 0),)) for n in (1, 2, 3, 4)]

    for number in (1, 3, 4, 3, 1, 2, 2, 4):
        books.apply("r1", batches[number - 1])

    assert amounts(books) == (40, 360, 0, 600)
    assert books.spend(SpendQuery()) == (LINE._replace(attempts=4, amount_nano_usd=40),)


def test_batches_of_two_replicas_are_told_apart(books: BudgetBook) -> None:
    assert books.apply("r1", SettlementBatch(1, (LINE,), ()))
    assert books.apply("r2", SettlementBatch(1, (LINE,), ()))
    assert not books.apply("r2", SettlementBatch(1, (LINE,), ()))

    assert books.spend(SpendQuery())[0].attempts == 2


def test_books_that_are_opened_again_know_what_they_knew(
    books: BudgetBook, store: InMemorySpendStore, clock: ManualClock
) -> None:
    granted(books, 400)
    books.apply("r1", used(100))

    again = BudgetBook(store, clock)

    assert amounts(again) == amounts(books)
    assert not again.apply("r1", used(100))
    assert again.renew("r1", ["r1.1"])["r1.1"].amount_nano_usd == 400


def test_spend_without_a_budget_is_recorded(books: BudgetBook) -> None:
    books.apply("r1", SettlementBatch(1, (LINE._replace(key_id="bob"),), ()))

    assert books.spend(SpendQuery(key_id="bob"))[0].amount_nano_usd == 10
    assert amounts(books) == (0, 0, 0, CAP)


def test_what_goes_beyond_a_lease_counts_all_the_same(books: BudgetBook) -> None:
    granted(books, 100)

    books.apply("r1", used(130))

    assert amounts(books) == (130, 0, 0, 870)


def test_what_is_settled_against_a_forgotten_lease_counts_in_the_current_window(books: BudgetBook) -> None:
    books.apply("r1", used(30, 5, lease="r1.77"))

    assert amounts(books) == (30, 0, 0, 970)


@pytest.mark.parametrize(
    "batch",
    [
        SettlementBatch(0, (), ()),
        SettlementBatch(1, (LINE._replace(amount_nano_usd=-1),), ()),
        used(-1),
        used(0, -1),
    ],
)
def test_a_batch_that_cannot_be_is_refused_as_a_whole(books: BudgetBook, batch: SettlementBatch) -> None:
    with pytest.raises(ValueError, match=r"negative amount|count from 1"):
        books.apply("r1", batch)
    assert books.spend(SpendQuery()) == ()


# --- Expiry -----------------------------------------------------------------------------------------------------------


def test_an_expired_lease_is_forfeited_and_counts_as_spent(books: BudgetBook, clock: ManualClock) -> None:
    granted(books, 100)
    books.apply("r1", used(30))
    clock.advance(119.9)
    assert books.expire() == 0
    clock.advance(0.1)

    assert books.expire() == 1

    assert amounts(books) == (30, 0, 70, 900)
    assert books.expire() == 0


def test_late_settlements_move_from_forfeited_to_settled(books: BudgetBook, clock: ManualClock) -> None:
    granted(books, 100)
    clock.advance(120)
    books.expire()

    books.apply("r1", used(60))
    assert amounts(books) == (60, 0, 40, 900)
    books.apply("r1", used(0, 30, sequence=2))
    assert amounts(books) == (60, 0, 10, 930)
    books.apply("r1", used(10, sequence=3))

    assert amounts(books) == (70, 0, 0, 930)


def test_renewal_keeps_a_lease_alive_and_brings_an_expired_one_back(books: BudgetBook, clock: ManualClock) -> None:
    granted(books, 100)
    clock.advance(100)
    assert books.renew("r1", ["r1.1", "r1.2"]) == {"r1.1": LeaseGrant("r1.1", 100, 120.0, 12 * 3600.0 - 100)}
    clock.advance(100)
    assert books.expire() == 0
    clock.advance(100)
    assert books.expire() == 1

    assert books.renew("r1", ["r1.1"])["r1.1"].lasts_s == 120.0
    assert amounts(books) == (0, 100, 0, 900)


def test_nobody_else_can_renew_a_lease(books: BudgetBook) -> None:
    granted(books, 100)

    assert books.renew("r2", ["r1.1"]) == {}


def test_what_is_over_is_forgotten_and_its_sum_stays(clock: ManualClock) -> None:
    store = InMemorySpendStore()
    books = BudgetBook(store, clock, options=BudgetOptions(forfeit_kept_s=1000, mark_kept_s=2000))
    books.set_budget(SCOPE, CAP, "total")
    granted(books, 100)
    granted(books, 50, lease="r1.2", known=0)
    books.apply("r1", SettlementBatch(1, (LINE,), (LeaseUse("r1.1", SCOPE, 30, 0), LeaseUse("r1.2", SCOPE, 50, 0))))

    for _ in range(30):
        clock.advance(100)
        books.expire()

    assert amounts(books) == (80, 0, 70, 850)
    left = store.load()
    assert (left.leases, left.marks) == ({}, {})
    assert BudgetBook(store, clock).budgets() == books.budgets()


def test_windows_that_are_long_over_leave_nothing_but_the_roll_up(books: BudgetBook, clock: ManualClock) -> None:
    granted(books, 100)
    books.apply("r1", SettlementBatch(1, (LINE,), (LeaseUse("r1.1", SCOPE, 10, 0),)))

    for _ in range(60):
        clock.advance(3600)
        books.expire()

    assert books._store.load().accounts == {}
    assert books.spend(SpendQuery()) == (LINE,)
