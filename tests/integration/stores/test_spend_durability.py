"""What the books of money survive: a second writer, readers, a reopened file."""

from pathlib import Path

import pytest

from evolving_ai.errors import LockedError, StorageError
from evolving_ai.stores.ports.spend import Budget, SpendChange, SpendLine, SpendQuery
from evolving_ai.stores.sqlite.spend_store import SqliteSpendStore

CHANGE = SpendChange(put=(Budget("key:k1", 5, "day"),), lines=(SpendLine("2026-01-01", "t1", "k1", "a/b", 1, 3),))


def test_what_was_committed_is_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "spend.db"
    with SqliteSpendStore.open(path) as store:
        store.commit(CHANGE)
        expected = store.load()

    with SqliteSpendStore.open(path) as again:
        assert again.load() == expected
        assert again.spend(SpendQuery()) == CHANGE.lines


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "spend.db"
    with SqliteSpendStore.open(path), pytest.raises(LockedError, match="in use by another process"):
        SqliteSpendStore.open(path)


def test_a_reader_beside_the_writer_sees_and_cannot_change(tmp_path: Path) -> None:
    path = tmp_path / "spend.db"
    with SqliteSpendStore.open(path) as store:
        store.commit(CHANGE)
        with SqliteSpendStore.open_to_read(path) as reader:
            assert reader.spend(SpendQuery()) == CHANGE.lines
            with pytest.raises(StorageError, match="cannot be opened or written"):
                reader.commit(CHANGE)
        assert store.spend(SpendQuery()) == CHANGE.lines


def test_a_change_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with SqliteSpendStore.open(tmp_path / "spend.db") as store:
        with pytest.raises(OverflowError):
            store.commit(SpendChange(put=CHANGE.put, lines=(CHANGE.lines[0]._replace(amount_nano_usd=2**70),)))

        assert store.load().budgets == {}
        assert store.spend(SpendQuery()) == ()
