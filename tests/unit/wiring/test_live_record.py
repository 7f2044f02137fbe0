"""What is live: exchanged as a whole, kept with its history, verified when it is read."""

import json
from pathlib import Path
from typing import Any

import pytest

from evolving_ai.domain.dna import Genome
from evolving_ai.errors import CorruptionError, DataError, StorageError, UsageError
from evolving_ai.wiring.access_record import load_access, save_access
from evolving_ai.wiring.live_record import LiveRecord, LiveVersion, genome_json, load_live, save_live

FIRST, SECOND = Genome({"a": 1, "b": "x"}), Genome({"a": 2, "b": "x"})


def version_of(genome: Genome, generation: int, snapshot: str = "5" * 64) -> LiveVersion:
    return LiveVersion(generation, "c" * 64, genome.hash, snapshot, "2026-01-01T00:00:00+00:00", "ann", "a test")


def first_record() -> LiveRecord:
    return LiveRecord(version_of(FIRST, 1), genome_json(FIRST))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "live").mkdir()
    return tmp_path


def test_a_record_is_read_back_as_it_was_saved(home: Path) -> None:
    record = first_record().followed_by(version_of(SECOND, 2), SECOND)

    save_live(home, record)

    assert load_live(home) == record
    assert record.read_genome() == SECOND
    assert record.read_genome().hash == record.current.dna_hash


def test_nothing_is_live_before_anything_was(home: Path) -> None:
    assert load_live(home) is None


def test_saving_replaces_the_whole_and_leaves_nothing_beside_it(home: Path) -> None:
    save_live(home, first_record())
    save_live(home, first_record().followed_by(version_of(SECOND, 2), SECOND))

    assert [path.name for path in (home / "live").iterdir()] == ["current.json"]


def test_without_a_home_saving_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="the folder does not exist"):
        save_live(tmp_path, first_record())


def test_what_was_live_before_is_kept_newest_first_and_not_for_ever() -> None:
    record = first_record()
    for generation in range(2, 80):
        genome = Genome({"a": generation})
        record = record.followed_by(version_of(genome, generation), genome)

    assert [version.generation for version in record.previous] == list(range(78, 28, -1))
    assert record.read_genome() == Genome({"a": 79})


def test_another_snapshot_is_another_generation_but_no_step_in_the_history_of_dna() -> None:
    record = first_record().refitted("6" * 64, "2026-01-02T00:00:00+00:00", "new outcomes")

    assert (record.current.generation, record.current.snapshot_hash) == (2, "6" * 64)
    assert (record.current.dna_hash, record.current.commit) == (FIRST.hash, "c" * 64)
    assert record.previous == ()
    assert record.read_genome() == FIRST


def test_rolling_back_goes_to_the_newest_other_dna() -> None:
    record = first_record().followed_by(version_of(SECOND, 2), SECOND)
    record = record.refitted("6" * 64, "later", "new outcomes").followed_by(version_of(SECOND, 4), SECOND)

    assert record.rollback_target() == version_of(FIRST, 1)


def test_rolling_back_from_the_first_dna_is_refused() -> None:
    again = first_record().followed_by(version_of(FIRST, 2), FIRST)

    for record in (first_record(), again):
        with pytest.raises(UsageError, match="no earlier live DNA"):
            record.rollback_target()


def test_a_genome_that_does_not_match_its_hash_is_damage() -> None:
    with pytest.raises(CorruptionError, match="does not match its hash"):
        LiveRecord(version_of(FIRST, 1), genome_json(SECOND)).read_genome()


@pytest.mark.parametrize("genome", [{}, [], None, {"genes": 5, "schema_version": 1}, {"genes": {"a": 1}}])
def test_what_is_no_genome_is_damage(genome: Any) -> None:
    """Rule broken: CorruptionError for damage; a record without genes ended in a traceback."""
    with pytest.raises(CorruptionError):
        LiveRecord(version_of(FIRST, 1), genome).read_genome()


@pytest.mark.parametrize(
    "change",
    [
        lambda _document: [],
        lambda _document: 5,
        lambda document: {**document, "current": None},
        lambda document: {**document, "current": {"generation": 1}},
        lambda document: {**document, "previous": None},
        lambda document: {**document, "previous": [5]},
        lambda document: {"current": document["current"]},
    ],
)
def test_a_damaged_file_is_called_so(home: Path, change: Any) -> None:
    (home / "live" / "current.json").write_text(json.dumps(change(first_record().to_json())))

    with pytest.raises(CorruptionError, match="is damaged"):
        load_live(home)


def test_access_is_kept_and_its_damage_is_named(home: Path) -> None:
    with pytest.raises(DataError, match="expected it after"):
        load_access(home)

    access = {"version": 3, "keys": [], "budget_scopes": []}
    save_access(home, access)
    assert load_access(home) == access

    for text in ("", "[]", "{}", '{"version": 3'):
        (home / "live" / "access.json").write_text(text)
        with pytest.raises(CorruptionError, match="is damaged"):
            load_access(home)
