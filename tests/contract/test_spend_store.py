"""What every `SpendStore` guarantees, run over every implementation."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.stores.inmemory.spend_store import InMemorySpendStore
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
from evolving_ai.stores.sqlite.spend_store import SqliteSpendStore

DAY = AccountKey("key:k1", "day", 1_767_225_600)
TOTAL = AccountKey("tenant:t1", "total", 0)
BUDGET = Budget("key:k1", 5_000_000_000, "day")
LEASE = Lease("r1.1", "r1", DAY, 100, 30, 20, 1_767_225_720.5)
MARK = ReplicaMark("r1", 3, (5, 6), 1_767_225_600.25)
LINES = (
    SpendLine("2026-01-01", "t1", "k1", "openai/small", 2, 30),
    SpendLine("2026-01-01", "t1", "k2", "openai/small", 1, 7),
    SpendLine("2026-01-02", "t1", "k1", "openai/large", 1, 100),
    SpendLine("2026-01-02", "t2", "k3", "openai/small", 4, 9),
)


@contextmanager
def in_memory() -> Iterator[SpendStore]:
    yield InMemorySpendStore()


@contextmanager
def in_sqlite() -> Iterator[SpendStore]:
    with TemporaryDirectory() as folder, SqliteSpendStore.open(Path(folder) / "spend.db") as store:
        yield store


OPENERS = [in_memory, in_sqlite]


@pytest.fixture(params=OPENERS)
def store(request: pytest.FixtureRequest) -> Iterator[SpendStore]:
    with request.param() as opened:
        yield opened


def state_of(*records: SpendRecord) -> SpendState:
    state = SpendState()
    state.put(records)
    return state


def test_a_new_store_is_empty(store: SpendStore) -> None:
    assert store.load() == SpendState()
    assert store.spend(SpendQuery()) == ()


def test_records_read_back_equal(store: SpendStore) -> None:
    records = (BUDGET, Account(DAY, 12, 7), Account(TOTAL, 1, 0), LEASE, MARK)

    store.commit(SpendChange(put=records))

    assert store.load() == state_of(*records)


def test_a_record_replaces_the_one_of_the_same_identity(store: SpendStore) -> None:
    store.commit(SpendChange(put=(BUDGET, LEASE, MARK, Account(DAY, 1, 1))))
    ended = Lease("r1.1", "r1", DAY, 100, 50, 20, 1_767_225_900.0, is_ended=True)
    newer = (Budget("key:k1", 1, "total"), ended, MARK.with_batch(4, 7.0), Account(DAY, 2, 3))

    store.commit(SpendChange(put=newer))

    assert store.load() == state_of(*newer)
    assert store.load().marks["r1"].applied == 6


def test_what_is_forgotten_is_gone_and_forgetting_again_is_no_change(store: SpendStore) -> None:
    records = (BUDGET, Account(DAY, 12, 7), LEASE, MARK)
    store.commit(SpendChange(put=records))

    for _ in range(2):
        store.commit(SpendChange(drop=records))
        assert store.load() == SpendState()


def test_a_loaded_state_is_the_readers_own(store: SpendStore) -> None:
    store.commit(SpendChange(put=(BUDGET,)))

    store.load().apply(SpendChange(drop=(BUDGET,)))

    assert store.load() == state_of(BUDGET)


def test_lines_add_up(store: SpendStore) -> None:
    store.commit(SpendChange(lines=LINES))
    store.commit(SpendChange(lines=(LINES[0], LINES[0])))

    assert store.spend(SpendQuery(key_id="k1", until="2026-01-01")) == (
        LINES[0]._replace(attempts=6, amount_nano_usd=90),
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (SpendQuery(), LINES),
        (SpendQuery(since="2026-01-02"), LINES[2:]),
        (SpendQuery(until="2026-01-01"), LINES[:2]),
        (SpendQuery(tenant="t2"), LINES[3:]),
        (SpendQuery(key_id="k2"), LINES[1:2]),
        (SpendQuery(by=frozenset()), (SpendLine("", "", "", "", 8, 146),)),
        (
            SpendQuery(by=frozenset({"day"})),
            (SpendLine("2026-01-01", "", "", "", 3, 37), SpendLine("2026-01-02", "", "", "", 5, 109)),
        ),
        (
            SpendQuery(by=frozenset({"target"}), tenant="t1"),
            (SpendLine("", "", "", "openai/large", 1, 100), SpendLine("", "", "", "openai/small", 3, 37)),
        ),
        (SpendQuery(by=frozenset(), tenant="nobody"), ()),
    ],
)
def test_spend_is_summed_as_asked(store: SpendStore, query: SpendQuery, expected: tuple[SpendLine, ...]) -> None:
    store.commit(SpendChange(lines=LINES))

    assert store.spend(query) == expected


LINE = st.builds(
    SpendLine,
    day=st.sampled_from(["2026-01-01", "2026-02-01"]),
    tenant=st.text(max_size=2),
    key_id=st.sampled_from("ab"),
    target=st.text(max_size=2),
    attempts=st.integers(0, 5),
    amount_nano_usd=st.integers(0, 10**12),
)


@pytest.mark.parametrize("open_store", OPENERS)
@given(batches=st.lists(st.lists(LINE, max_size=8), max_size=4))
def test_no_amount_is_lost_in_the_sums(open_store: type[SpendStore], batches: list[list[SpendLine]]) -> None:
    with open_store() as store:  # type: ignore[attr-defined]
        for batch in batches:
            store.commit(SpendChange(lines=tuple(batch)))

        lines = [line for batch in batches for line in batch]
        found = store.spend(SpendQuery())
        assert sum(line.amount_nano_usd for line in found) == sum(line.amount_nano_usd for line in lines)
        assert sum(line.attempts for line in found) == sum(line.attempts for line in lines)
        assert len(found) == len({line[:4] for line in lines})
