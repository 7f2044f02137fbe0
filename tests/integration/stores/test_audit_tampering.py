"""Whatever is done to the file of an audit log behind its back is found."""

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai._common.clock import ManualClock
from evolving_ai.errors import CorruptionError
from evolving_ai.stores.hash_chain import StoredEntry, seal
from evolving_ai.stores.ports import AuditHead
from evolving_ai.stores.sqlite.audit_log import SqliteAuditLog

COUNT = 6
TRIGGERS = ("entries_are_appended", "entries_are_not_changed", "entries_are_not_removed")
PLACES = st.integers(1, COUNT)
Tamper: TypeAlias = Callable[[sqlite3.Connection], None]


def write_log(path: Path) -> AuditHead:
    with SqliteAuditLog.open(path, ManualClock()) as log:
        for number in range(COUNT):
            log.append("key_created", actor="ann", subject=f"key-{number}", detail={"number": number})
        return log.head()


@contextmanager
def behind_its_back(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as connection, connection:
        for trigger in TRIGGERS:
            connection.execute(f"DROP TRIGGER {trigger}")
        yield connection


def problem_after(tamper: Tamper, *, is_head_kept: bool = False) -> str | None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "audit.db"
        head = write_log(path)
        with behind_its_back(path) as connection:
            tamper(connection)
        with SqliteAuditLog.open_to_read(path, ManualClock()) as log:
            return log.verify(expected_head=head if is_head_kept else None)


def test_an_untouched_log_is_whole() -> None:
    assert problem_after(lambda _: None, is_head_kept=True) is None


@given(place=PLACES, position=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_of_an_entry_is_found(place: int, position: int, bit: int) -> None:
    def flip(connection: sqlite3.Connection) -> None:
        (body,) = connection.execute("SELECT body FROM entries WHERE sequence = ?", (place,)).fetchone()
        changed = bytearray(body)
        changed[position % len(changed)] ^= 1 << bit
        connection.execute("UPDATE entries SET body = ? WHERE sequence = ?", (bytes(changed), place))

    assert problem_after(flip) == f"entry {place} was changed: it does not match its hash"


@given(place=PLACES, value=st.text(max_size=8).filter(lambda text: text != "key_created"))
def test_a_changed_column_is_found(place: int, value: str) -> None:
    for statement in (
        "UPDATE entries SET kind = ? WHERE sequence = ?",
        "UPDATE entries SET hash = ? WHERE sequence = ?",
    ):

        def change(connection: sqlite3.Connection, statement: str = statement) -> None:
            connection.execute(statement, (value, place))

        assert f"entry {place} was changed" in str(problem_after(change))


@given(place=PLACES, subject=st.text(max_size=8).filter(lambda text: not text.startswith("key-")))
def test_an_entry_that_was_rewritten_with_a_hash_that_fits_is_found(place: int, subject: str) -> None:
    """All but the last one by the next entry; the last one by the head that was kept."""

    def rewrite(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM entries WHERE sequence = ?", (place,))
        _insert(connection, _forged(connection, place, subject))

    problem = problem_after(rewrite, is_head_kept=True)

    wanted = f"entry {place + 1} does not follow" if place < COUNT else f"entry {COUNT} is another one"
    assert str(problem).startswith(wanted)


@given(place=PLACES)
def test_a_chain_that_was_written_anew_from_a_place_on_is_found_by_the_head_that_was_kept(place: int) -> None:
    def rewrite(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM entries WHERE sequence >= ?", (place,))
        for number in range(place, COUNT + 1):
            _insert(connection, _forged(connection, number, "forged"))

    assert problem_after(rewrite) is None
    assert "written anew" in str(problem_after(rewrite, is_head_kept=True))


@given(places=st.sets(st.integers(1, COUNT - 1), min_size=1))
def test_removed_entries_are_found(places: set[int]) -> None:
    def remove(connection: sqlite3.Connection) -> None:
        connection.executemany("DELETE FROM entries WHERE sequence = ?", [(place,) for place in places])

    assert f"entry {min(places)} is missing" in str(problem_after(remove))


@given(places=st.sets(st.integers(1, COUNT - 1), min_size=1))
def test_removed_entries_are_found_also_when_the_numbers_are_closed_up(places: set[int]) -> None:
    def remove(connection: sqlite3.Connection) -> None:
        connection.executemany("DELETE FROM entries WHERE sequence = ?", [(place,) for place in places])
        kept = [number for (number,) in connection.execute("SELECT sequence FROM entries ORDER BY sequence")]
        for number, old in enumerate(kept, start=1):
            connection.execute("UPDATE entries SET sequence = ? WHERE sequence = ?", (number, old))

    assert f"entry {min(places)} was changed" in str(problem_after(remove))


@given(cut=PLACES)
def test_an_end_that_was_cut_off_is_found_by_the_head_that_was_kept(cut: int) -> None:
    def truncate(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM entries WHERE sequence >= ?", (cut,))

    assert problem_after(truncate) is None
    problem = problem_after(truncate, is_head_kept=True)
    assert problem == f"the log ends with entry {cut - 1}, it once had {COUNT}: its end was cut off"


@given(order=st.permutations(range(1, COUNT + 1)).filter(lambda order: order != sorted(order)))
def test_entries_in_another_order_are_found(order: list[int]) -> None:
    def reorder(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE entries SET sequence = -sequence")
        for number, old in enumerate(order, start=1):
            connection.execute("UPDATE entries SET sequence = ? WHERE sequence = ?", (number, -old))

    moved = next(number for number, old in enumerate(order, start=1) if number != old)
    assert f"entry {moved} was changed" in str(problem_after(reorder))


def test_two_entries_that_changed_places_are_found() -> None:
    """All pairs: random orders rarely move only two."""
    for first, second in itertools.combinations(range(1, COUNT + 1), 2):

        def swap(connection: sqlite3.Connection, first: int = first, second: int = second) -> None:
            for old, new in ((first, -1), (second, first), (-1, second)):
                connection.execute("UPDATE entries SET sequence = ? WHERE sequence = ?", (new, old))

        assert f"entry {first} was changed" in str(problem_after(swap))


@given(place=PLACES)
def test_an_inserted_entry_is_found(place: int) -> None:
    def insert(connection: sqlite3.Connection) -> None:
        forged = _forged(connection, place, "forged")
        for number in range(COUNT, place - 1, -1):
            connection.execute("UPDATE entries SET sequence = ? WHERE sequence = ?", (number + 1, number))
        _insert(connection, forged)

    assert f"entry {place + 1} was changed" in str(problem_after(insert))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET kind = 'x' WHERE sequence = 1",
        "UPDATE entries SET sequence = 99 WHERE sequence = 6",
        "DELETE FROM entries WHERE sequence = 6",
        "DELETE FROM entries",
        "INSERT INTO entries VALUES (9, 'x', x'00', 'y')",
        "INSERT INTO entries VALUES (3, 'x', x'00', 'y')",
        "INSERT OR REPLACE INTO entries VALUES (3, 'x', x'00', 'y')",
        "INSERT INTO entries VALUES (1, 'x', x'00', 'y') ON CONFLICT DO UPDATE SET kind = 'x'",
    ],
)
def test_the_database_itself_refuses_all_but_the_next_entry(tmp_path: Path, statement: str) -> None:
    head = write_log(tmp_path / "audit.db")

    with closing(sqlite3.connect(tmp_path / "audit.db")) as connection:
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute(statement)
        connection.rollback()

    with SqliteAuditLog.open_to_read(tmp_path / "audit.db", ManualClock()) as log:
        assert log.head() == head
        assert log.verify(expected_head=head) is None


@given(data=st.data())
def test_bytes_that_were_changed_anywhere_in_the_file_are_found_or_change_no_entry(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "audit.db"
        head = write_log(path)
        with SqliteAuditLog.open_to_read(path, ManualClock()) as log:
            before = log.entries()
        content = bytearray(path.read_bytes())
        place = data.draw(st.integers(100, len(content) - 1))  # the header's own fields are SQLite's to check
        content[place] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content)
        with SqliteAuditLog.open_to_read(path, ManualClock()) as log:
            if log.verify(expected_head=head) is None:
                assert log.entries() == before


def test_a_name_in_the_schema_that_is_no_text_any_more_is_told_as_damage() -> None:
    """sqlite3 fails to decode its own message about it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "audit.db"
        write_log(path)
        content = path.read_bytes()
        path.write_bytes(
            content.replace(b"CREATE TRIGGER entries_are_appended", b"CREATE TRIGGER entr\xe9es_are_appended")
        )
        with SqliteAuditLog.open_to_read(path, ManualClock()) as log:
            assert "audit.db is damaged" in str(log.verify())
            with pytest.raises(CorruptionError, match="restore it from a backup"):
                log.entries()


def _forged(connection: sqlite3.Connection, place: int, subject: str) -> StoredEntry:
    """An entry of this number with a hash that fits, following the one that is there before it."""
    row = connection.execute("SELECT hash FROM entries WHERE sequence = ?", (place - 1,)).fetchone()
    head = AuditHead(place - 1, "0" * 64 if row is None else row[0])
    return seal(head, time=ManualClock().now(), kind="key_created", actor="eve", subject=subject, detail={})


def _insert(connection: sqlite3.Connection, entry: StoredEntry) -> None:
    connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?)", entry)
