"""What every `KeyStore` guarantees, run over every implementation."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.domain.identity import Role
from evolving_ai.errors import CorruptionError, LockedError
from evolving_ai.stores.inmemory.key_store import InMemoryKeyStore
from evolving_ai.stores.ports import KeyLimits, KeyRecord, KeyStore
from evolving_ai.stores.sqlite.database import Database
from evolving_ai.stores.sqlite.key_store import SqliteKeyStore

START = datetime(2026, 1, 1, 12, 30, 0, 123456, tzinfo=UTC)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyStore]:
    if request.param == "memory":
        yield InMemoryKeyStore()
        return
    with SqliteKeyStore.open(tmp_path / "keys.db") as opened:
        yield opened


def record_of(number: int, **changes: object) -> KeyRecord:
    record = KeyRecord(f"key-{number}", f"key {number}", "acme", Role.VIEWER, f"{number:064x}", START)
    return replace(record, **changes)  # type: ignore[arg-type]


def test_a_new_store_is_empty_at_revision_0(store: KeyStore) -> None:
    assert store.load() == (0, ())


def test_every_field_is_read_back_equal(store: KeyStore) -> None:
    bare = record_of(1)
    full = record_of(
        2,
        name="with ünicode",
        role=Role.ADMIN,
        expires=START + timedelta(days=1),
        revoked=START + timedelta(hours=2),
        rotated=START + timedelta(hours=1),
        former_hash="f" * 64,
        former_until=START + timedelta(hours=3),
        limits=KeyLimits(60, 4),
    )

    store.commit([bare, full])

    assert store.load().records == (bare, full)


def test_a_record_takes_the_place_of_the_one_with_its_id(store: KeyStore) -> None:
    store.commit([record_of(2), record_of(1)])

    store.commit([record_of(2, revoked=START)])

    assert store.load().records == (record_of(1), record_of(2, revoked=START))


def test_the_revision_grows_with_every_change(store: KeyStore) -> None:
    revisions = [store.commit([record_of(number % 2)]) for number in range(4)]

    assert revisions == sorted(set(revisions))
    assert store.load().revision == revisions[-1]


@given(st.lists(st.lists(st.integers(0, 5), max_size=3), max_size=5))
def test_keys_and_revision_outlive_the_process(
    tmp_path_factory: pytest.TempPathFactory, changes: list[list[int]]
) -> None:
    path = tmp_path_factory.mktemp("keys") / "keys.db"
    model = InMemoryKeyStore()
    for change in changes:
        records = [record_of(number, name=f"{len(change)}") for number in change]
        model.commit(records)
        with SqliteKeyStore.open(path) as store:
            store.commit(records)

    with SqliteKeyStore.open(path) as store:
        assert store.load() == model.load()


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    with SqliteKeyStore.open(tmp_path / "keys.db"), pytest.raises(LockedError, match="in use by another process"):
        SqliteKeyStore.open(tmp_path / "keys.db")


@pytest.mark.parametrize("damage", ["UPDATE keys SET role = 9", "UPDATE keys SET created = 'yesterday'"])
def test_a_damaged_key_is_told_and_opens_nothing(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "keys.db"
    with SqliteKeyStore.open(path) as store:
        store.commit([record_of(1)])
    with Database.open(path, [[]]) as database, database.write() as connection:
        connection.execute(damage)

    with SqliteKeyStore.open(path) as store, pytest.raises(CorruptionError, match="key-1 is damaged"):
        store.load()


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    with SqliteKeyStore.open(tmp_path / "keys.db"):
        assert (tmp_path / "keys.db").stat().st_mode & 0o777 == 0o600
