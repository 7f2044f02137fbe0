"""What every `AuditLog` guarantees, run over every implementation."""

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai._common.canonical import canonical_bytes
from evolving_ai._common.clock import ManualClock
from evolving_ai.errors import LockedError, StorageError
from evolving_ai.security.audit_kinds import AuditKind
from evolving_ai.stores.hash_chain import EMPTY_HEAD
from evolving_ai.stores.inmemory.audit_log import InMemoryAuditLog
from evolving_ai.stores.ports import AuditHead, AuditLog
from evolving_ai.stores.sqlite.audit_log import SqliteAuditLog

DETAILS = st.dictionaries(st.text(max_size=5), st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=9))
FIELDS = ("sequence", "time", "kind", "actor", "subject", "detail", "previous")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["memory", "sqlite"])
def log(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Iterator[AuditLog]:
    if request.param == "memory":
        yield InMemoryAuditLog(clock)
        return
    with SqliteAuditLog.open(tmp_path / "audit.db", clock) as opened:
        yield opened


def fill(log: AuditLog, count: int) -> None:
    for number in range(1, count + 1):
        kind = AuditKind.KEY_CREATED if number % 2 else AuditKind.KEY_REVOKED
        log.append(kind, actor="ann", subject=f"key-{number}", detail={"number": number})


def test_an_empty_log_is_whole(log: AuditLog) -> None:
    assert log.entries() == ()
    assert log.head() == EMPTY_HEAD
    assert log.verify() is None
    assert log.verify(expected_head=EMPTY_HEAD) is None


def test_an_entry_says_who_did_what_when_and_is_chained(log: AuditLog, clock: ManualClock) -> None:
    first = log.append(AuditKind.KEY_CREATED, actor="ann", subject="key-1", detail={"tenant": "acme", "expires": None})
    clock.advance(1.5)
    second = log.append("key_revoked", actor="bob", subject="key-1", detail={})

    assert (first.sequence, first.kind, first.actor, first.subject) == (1, "key_created", "ann", "key-1")
    assert first.detail == {"tenant": "acme", "expires": None}
    assert first.time == "2026-01-01T00:00:00.000000+00:00"
    assert second.time == "2026-01-01T00:00:01.500000+00:00"
    assert (second.sequence, second.previous) == (2, first.hash)
    assert log.entries() == (first, second)
    assert log.head() == (2, second.hash)


@given(DETAILS)
def test_the_hash_is_that_of_the_other_fields_as_anybody_can_compute_it(detail: dict[str, Any]) -> None:
    entry = InMemoryAuditLog(ManualClock()).append("key_created", actor="a", subject="s", detail=detail)

    fields = {name: getattr(entry, name) for name in FIELDS}

    assert hashlib.sha256(canonical_bytes(fields)).hexdigest() == entry.hash


def test_entries_are_read_from_a_place_up_to_a_limit_and_by_kind(log: AuditLog) -> None:
    fill(log, 7)

    def numbers(**wanted: Any) -> list[int]:
        return [entry.sequence for entry in log.entries(**wanted)]

    assert numbers() == [1, 2, 3, 4, 5, 6, 7]
    assert numbers(after=4) == [5, 6, 7]
    assert numbers(after=2, limit=3) == [3, 4, 5]
    assert numbers(kind=AuditKind.KEY_REVOKED) == [2, 4, 6]
    assert numbers(after=2, limit=1, kind="key_revoked") == [4]
    assert numbers(after=7) == numbers(limit=0) == numbers(kind="unheard_of") == []


def test_what_json_cannot_hold_is_refused_and_leaves_nothing(log: AuditLog) -> None:
    fill(log, 1)

    for detail in ({"x": float("nan")}, {"x": b"bytes"}, {"x": 2**60}, {"\ud800": 1}):
        with pytest.raises(ValueError, match="canonical JSON"):
            log.append("key_created", actor="ann", subject="key-1", detail=detail)

    assert log.head().sequence == 1
    assert log.verify() is None


def test_a_kept_head_is_found_again_however_much_was_added(log: AuditLog) -> None:
    fill(log, 2)
    kept = log.head()
    fill(log, 3)

    assert log.verify(expected_head=kept) is None
    assert log.verify(expected_head=log.head()) is None


def test_a_kept_head_that_the_log_does_not_contain_is_told(log: AuditLog) -> None:
    fill(log, 2)

    assert "was cut off" in str(log.verify(expected_head=AuditHead(3, "0" * 64)))
    assert "written anew" in str(log.verify(expected_head=AuditHead(2, "0" * 64)))
    assert "no log has the head" in str(log.verify(expected_head=AuditHead(0, "1" * 64)))


def test_threads_that_append_leave_no_gap(log: AuditLog) -> None:
    threads = [threading.Thread(target=fill, args=(log, 10)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [entry.sequence for entry in log.entries()] == list(range(1, 41))
    assert log.verify() is None


def test_the_log_goes_on_after_a_restart(tmp_path: Path, clock: ManualClock) -> None:
    for count in (1, 2, 3):
        with SqliteAuditLog.open(tmp_path / "audit.db", clock) as log:
            fill(log, count)

    with SqliteAuditLog.open(tmp_path / "audit.db", clock) as log:
        assert log.head().sequence == 6
        assert log.verify() is None


def test_one_process_writes_and_others_read_beside_it(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "audit.db"
    with SqliteAuditLog.open(path, clock) as writer:
        fill(writer, 3)
        with pytest.raises(LockedError, match="in use by another process"):
            SqliteAuditLog.open(path, clock)
        with SqliteAuditLog.open_to_read(path, clock) as reader:
            assert reader.entries() == writer.entries()
            assert reader.verify(expected_head=writer.head()) is None
            with pytest.raises(StorageError, match="readonly"):
                fill(reader, 1)
