"""The one writer of what is live: durable first, audited, and added to the log where a crash left it out."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evolving_ai._common.clock import ManualClock
from evolving_ai.domain.dna import Commit
from evolving_ai.errors import DataError, UsageError
from evolving_ai.security.audit_kinds import AuditKind
from evolving_ai.wiring.control import ControlServices, open_control
from evolving_ai.wiring.live_record import load_live, save_live

SNAPSHOTS = tuple(digit * 64 for digit in "abc")


@pytest.fixture
def services(tmp_path: Path) -> Iterator[ControlServices]:
    (tmp_path / "live").mkdir()
    with open_control(tmp_path, ManualClock()) as opened:
        yield opened


def commit(services: ControlServices, cost_weight: float) -> Commit:
    return services.history.change("main", {"score.cost_weight": cost_weight}, author="test", message="change")


def changes(services: ControlServices) -> list[tuple[str, str, object]]:
    kinds = (AuditKind.DNA_PROMOTED, AuditKind.DNA_ROLLED_BACK)
    return [(e.kind, e.actor, e.detail["dna_hash"]) for e in services.audit.entries() if e.kind in kinds]


def test_nothing_is_live_before_the_first_dna(services: ControlServices) -> None:
    with pytest.raises(DataError, match="makes the seed live"):
        _ = services.live.record
    first = services.history.resolve("main")
    record = services.live.begin(first, SNAPSHOTS[0])
    assert services.live.record == record == load_live(services.home)
    assert (record.current.generation, record.previous, changes(services)) == (1, (), [])


def test_every_exchange_counts_up_and_stands_in_the_log(services: ControlServices) -> None:
    first, second = services.history.resolve("main"), commit(services, 0.7)
    services.live.begin(first, SNAPSHOTS[0])
    services.live.promote(second, SNAPSHOTS[1], actor="key-1", reason="better")
    services.live.refit(SNAPSHOTS[2], reason="learned")
    target = services.live.record.rollback_target()
    assert (target.commit, target.snapshot_hash) == (first.hash, SNAPSHOTS[0])
    record = services.live.roll_back(first, target.snapshot_hash, actor="key-2", reason="worse")

    assert [version.generation for version in (record.current, *record.previous)] == [4, 3, 1]
    assert changes(services) == [
        ("dna_promoted", "key-1", second.genome.hash),
        ("dna_rolled_back", "key-2", first.genome.hash),
    ]


def test_what_is_live_cannot_be_promoted_again(services: ControlServices) -> None:
    first = services.history.resolve("main")
    before = services.live.begin(first, SNAPSHOTS[0])
    with pytest.raises(UsageError, match="is live already"):
        services.live.promote(first, SNAPSHOTS[1], actor="key-1", reason="")
    assert (services.live.record, changes(services)) == (before, [])


def test_a_change_that_was_not_audited_is_added_once(services: ControlServices) -> None:
    first, second = services.history.resolve("main"), commit(services, 0.7)
    before = services.live.begin(first, SNAPSHOTS[0])
    services.live.reconcile()
    assert changes(services) == []
    after = services.live.promote(second, SNAPSHOTS[1], actor="key-1", reason="")
    services.live.reconcile()
    assert len(changes(services)) == 1

    back = after.followed_by(before.current, first.genome)  # saved, and then the process died
    save_live(services.home, back)
    for _ in range(2):
        services.live.reconcile()
    assert [dna for _, _, dna in changes(services)] == [second.genome.hash, first.genome.hash]


def test_a_change_that_was_not_audited_is_added_before_the_next_one(services: ControlServices) -> None:
    first, second = services.history.resolve("main"), commit(services, 0.7)
    before = services.live.begin(first, SNAPSHOTS[0])
    unaudited = replace(before.current, generation=2, commit=second.hash, dna_hash=second.genome.hash)
    save_live(services.home, before.followed_by(unaudited, second.genome))

    services.live.roll_back(first, SNAPSHOTS[0], actor="key-1", reason="")

    assert [dna for _, _, dna in changes(services)] == [second.genome.hash, first.genome.hash]
