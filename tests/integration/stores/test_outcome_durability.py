"""What outcomes survive: kill -9 while they are stored and while they are archived; what lies on the disk."""

import random
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from evolving_ai.errors import LockedError
from evolving_ai.stores.outcome_archive import OutcomeArchive, archive_schema
from evolving_ai.stores.ports import RecordedOutcome
from evolving_ai.stores.sqlite.outcome_store import SqliteOutcomeStore
from tests.unit.stores.recorded_outcomes import START_S, batch, outcome, request_id

KILLS = 8
OF_A_BATCH = 20
DAY_S = 86_400.0

# A writer: appends batches first, first + 1, ... of one replica, says so after each one is acknowledged, and, when
# asked to, archives in between whatever is there.
WRITER = """
import sys
from pathlib import Path
from evolving_ai.stores.outcome_archive import OutcomeArchive
from evolving_ai.stores.sqlite.outcome_store import SqliteOutcomeStore
from tests.unit.stores.recorded_outcomes import START_S, batch, outcome

home, first, size, is_compacting = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "compact"
with SqliteOutcomeStore.open(home / "outcomes.db", OutcomeArchive(home / "outcomes")) as store:
    for sequence in range(first, first + 1_000_000):
        store.append(batch(sequence, *(outcome(sequence * size + n) for n in range(size))))
        print(sequence, flush=True)
        if is_compacting and sequence % 3 == 0:
            store.compact(START_S + 1)
"""


def opened(home: Path) -> SqliteOutcomeStore:
    return SqliteOutcomeStore.open(home / "outcomes.db", OutcomeArchive(home / "outcomes"))


def killed_writer(home: Path, first: int, acknowledgements: int, mode: str) -> list[int]:
    """The sequences that a writer acknowledged before it was killed, after at least so many."""
    command = [sys.executable, "-c", WRITER, str(home), str(first), str(OF_A_BATCH), mode]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(acknowledgements)]
    process.kill()
    rest, _ = process.communicate()
    return [int(line) for line in [*lines, *rest.splitlines(keepends=True)] if line.endswith("\n")]


@pytest.mark.parametrize("mode", ["append", "compact"])
def test_a_writer_killed_at_any_point_loses_nothing_acknowledged_and_stores_nothing_twice(
    tmp_path: Path, mode: str
) -> None:
    chance = random.Random(7)  # noqa: S311 - any point is as good as another
    acknowledged: set[int] = set()
    first = 0
    for _ in range(KILLS):
        acknowledged |= set(killed_writer(tmp_path, first, chance.randint(1, 40), mode))
        first = max(acknowledged) + 1

        with opened(tmp_path) as store:
            # The replica cannot know what became of the batch that nobody acknowledged: it hands it over again.
            store.append(batch(first, *(outcome(first * OF_A_BATCH + n) for n in range(OF_A_BATCH))))
            counts = store.counts()
            lost = [s for s in acknowledged if store.find(outcome(s * OF_A_BATCH).decision_id) is None]
        assert not lost
        assert counts.recent + counts.archived == OF_A_BATCH * (first + 1)
        acknowledged.add(first)
        first += 1
    with opened(tmp_path) as store:
        store.compact(START_S + 1)
        assert (store.counts().recent, store.counts().archived) == (0, OF_A_BATCH * first)
    files = sorted((tmp_path / "outcomes").rglob("*.parquet"))
    ids = [row for path in files for row in pq.ParquetFile(path).read(["decision_id"])["decision_id"].to_pylist()]
    assert sorted(ids) == sorted(request_id(START_S, number) for number in range(OF_A_BATCH * first))


def test_the_file_has_one_writer(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(LockedError, match="in use by another process"):
        opened(tmp_path)


def test_what_was_stored_is_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.append(batch(0, outcome(0), outcome(1, age_s=DAY_S)))

    with opened(tmp_path) as store:
        assert not store.append(batch(0, outcome(0), outcome(1, age_s=DAY_S)))
        assert store.find(outcome(0).decision_id) == RecordedOutcome(outcome(0), None)


def test_the_archive_has_a_folder_for_each_date_and_the_documented_schema(tmp_path: Path) -> None:
    members = [outcome(number, age_s=DAY_S * (number % 3)) for number in range(30)]
    with opened(tmp_path) as store:
        store.append(batch(0, *members))
        store.compact(START_S + 1)

    files = sorted((tmp_path / "outcomes").rglob("*.*"))
    dates = [datetime.fromtimestamp(START_S - DAY_S * age, UTC).date() for age in (2, 1, 0)]
    parquet = [path for path in files if path.is_file()]
    assert [path.relative_to(tmp_path / "outcomes").as_posix() for path in parquet] == [
        f"date={date}/000000001.parquet" for date in dates
    ]
    for path in parquet:
        with pq.ParquetFile(path) as file:
            assert file.schema_arrow.equals(archive_schema())
            assert file.metadata.row_group(0).column(0).compression == "ZSTD"
            ids = file.read(["decision_id"])["decision_id"].to_pylist()
        assert ids == sorted(ids)


def test_a_lookup_in_the_archive_reads_no_other_group_of_rows(tmp_path: Path) -> None:
    members = [outcome(number, age_s=DAY_S) for number in range(4_100)]
    with opened(tmp_path) as store:
        for sequence in range(0, len(members), 1_000):
            store.append(batch(sequence, *members[sequence : sequence + 1_000]))
        assert store.compact(START_S) == len(members)
        picks = (0, 1_999, 2_000, 4_099)
        found = [store.find(members[number].decision_id) for number in picks]

    assert found == [RecordedOutcome(members[number], None) for number in picks]
    (path,) = (tmp_path / "outcomes").rglob("*.parquet")
    with pq.ParquetFile(path) as file:
        assert file.num_row_groups == 3
