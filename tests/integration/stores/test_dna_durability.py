"""What DNA survives: many writers, kill -9, a full disk, flipped bits."""

import contextlib
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evolving_ai._common.clock import ManualClock
from evolving_ai.domain.genes import IntGene, SearchSpace, TextGene
from evolving_ai.errors import CorruptionError, StorageError
from evolving_ai.stores.history import DnaHistory
from evolving_ai.stores.sqlite.dna_store import SqliteDnaStore

KILLS = 12
WRITERS = 4
COMMITS_OF_EACH_WRITER = 8
FLIPS = 150
SMALL_DISK_BYTES = 400_000

SPACE = SearchSpace(
    [
        IntGene(name="n", component="c", low=0, high=10**9, default=0),
        TextGene(name="text", component="c", max_length=10_000),
    ]
)

# A writer: commits n = first, first + 1, ... and says so after each one is acknowledged.
WRITER = """
import sys
from pathlib import Path
from evolving_ai._common.clock import SystemClock
from evolving_ai.errors import StorageError
from evolving_ai.domain.genes import IntGene, SearchSpace, TextGene
from evolving_ai.stores.history import DnaHistory
from evolving_ai.stores.sqlite.dna_store import SqliteDnaStore

path, first, count, text = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), "x" * int(sys.argv[4])
space = SearchSpace([
    IntGene(name="n", component="c", low=0, high=10**9, default=0),
    TextGene(name="text", component="c", max_length=10_000),
])
try:
    with SqliteDnaStore.open(path) as store:
        history = DnaHistory(store, space, SystemClock())
        history.ensure_main()
        for n in range(first, first + count):
            values = {"n": n, "text": (str(n) + text)[: len(text)]}
            made = history.change("main", values, author="writer", message="")
            print(made.hash, flush=True)
except StorageError as exc:
    print(exc, file=sys.stderr)
    sys.exit(1)
"""


def writer(path: Path, first: int, count: int, size: int = 0, limit_bytes: int = 0) -> subprocess.Popen[str]:
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes}, {limit_bytes}))\n"
    script = (limit if limit_bytes else "") + WRITER
    command = [sys.executable, "-c", script, str(path), str(first), str(count), str(size)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def committed(path: Path) -> list[str]:
    """The commits of main, after the store has found nothing wrong with itself."""
    with SqliteDnaStore.open(path) as store:
        assert store.check() == ()
        return [commit.hash for commit in DnaHistory(store, SPACE, ManualClock()).log("main")]


def test_concurrent_writers_in_processes_lose_no_commit(tmp_path: Path) -> None:
    path = tmp_path / "dna.db"
    writers = [writer(path, 1 + 1000 * number, COMMITS_OF_EACH_WRITER) for number in range(WRITERS)]

    outputs = [process.communicate(timeout=120) for process in writers]

    acknowledged = [line for stdout, _ in outputs for line in stdout.split()]
    assert [stderr for _, stderr in outputs] == [""] * WRITERS
    assert len(acknowledged) == WRITERS * COMMITS_OF_EACH_WRITER
    log = committed(path)
    assert set(acknowledged) < set(log)
    assert len(log) == len(acknowledged) + 1


def test_a_writer_killed_at_any_point_leaves_every_acknowledged_commit(tmp_path: Path) -> None:
    path = tmp_path / "dna.db"
    chance = random.Random(7)  # noqa: S311 - any point is as good as another
    acknowledged: list[str] = []

    for kill in range(KILLS):
        process = writer(path, 1 + kill * 1_000_000, 1_000_000)
        assert process.stdout is not None
        acknowledged.extend(process.stdout.readline().strip() for _ in range(chance.randint(1, 60)))
        process.kill()
        rest, _ = process.communicate()
        acknowledged.extend(line for line in rest.split() if len(line) == 64)

        assert set(acknowledged) <= set(committed(path))

    assert len(acknowledged) >= KILLS


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mount, umount = shutil.which("mount"), shutil.which("umount")
    folder = tmp_path / "small"
    folder.mkdir()
    if mount is None or umount is None:
        pytest.skip("no mount command")
    options = ["-t", "tmpfs", "-o", f"size={SMALL_DISK_BYTES}", "tmpfs", str(folder)]
    if subprocess.run([mount, *options], capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run([umount, str(folder)], check=True)


def run_until_full(path: Path, limit_bytes: int = 0) -> tuple[list[str], str]:
    process = writer(path, 1, 100_000, size=5_000, limit_bytes=limit_bytes)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 1
    return stdout.split(), stderr


def test_a_full_disk_is_one_line_and_loses_nothing(small_disk: Path) -> None:
    path = small_disk / "dna.db"

    acknowledged, stderr = run_until_full(path)

    assert stderr == f"no disk space left to write {path}: free some; nothing was half-written\n"
    assert acknowledged
    assert set(acknowledged) <= set(committed(path))


def test_a_file_that_may_not_grow_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "dna.db"

    acknowledged, stderr = run_until_full(path, limit_bytes=SMALL_DISK_BYTES)

    assert stderr.count("\n") == 1
    assert str(path) in stderr
    assert acknowledged
    assert set(acknowledged) <= set(committed(path))


def filled(path: Path) -> bytes:
    """The bytes of a database file with a short history; no log file is left beside it."""
    with SqliteDnaStore.open(path) as store:
        history = DnaHistory(store, SPACE, ManualClock())
        history.ensure_main()
        for n in range(1, 40):
            history.change("main", {"n": n, "text": f"prompt {n} " * 20}, author="ann", message=f"step {n}")
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    return path.read_bytes()


def flipped(data: bytes, offset: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[offset] ^= 1 << bit
    return bytes(changed)


def problems(path: Path) -> tuple[str, ...]:
    try:
        with SqliteDnaStore.open(path) as store:
            return store.check()
    except StorageError as exc:
        return (str(exc),)


@pytest.mark.parametrize("stored", [b"prompt 7 prompt", b'"step 7"'])
def test_a_flipped_bit_in_a_genome_or_a_commit_is_found_and_never_served(tmp_path: Path, stored: bytes) -> None:
    path = tmp_path / "dna.db"
    data = filled(path)
    path.write_bytes(flipped(data, data.index(stored) + 2, 0))

    found = problems(path)

    assert any("do not match the hash" in line for line in found)
    assert all("\n" not in line for line in found)
    with SqliteDnaStore.open(path) as store, pytest.raises(CorruptionError, match="do not match the hash"):
        list(DnaHistory(store, SPACE, ManualClock()).log("main"))


def test_a_flipped_bit_anywhere_is_found_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "dna.db"
    data = filled(path)
    before = contents(path)
    chance = random.Random(11)  # noqa: S311 - any bit is as good as another
    found = 0

    for _ in range(FLIPS):
        path.write_bytes(flipped(data, chance.randrange(len(data)), chance.randrange(8)))
        damaged = bool(problems(path))
        found += damaged
        assert damaged or contents(path) == before

    assert found > FLIPS // 4


def contents(path: Path) -> list[bytes]:
    with SqliteDnaStore.open(path) as store:
        commits = [store.get(commit_hash) for commit_hash in store.find("")]
        return [commit.to_bytes() + commit.genome.to_bytes() for commit in commits] + [str(store.refs()).encode()]


def test_a_missing_genome_parent_or_tip_is_reported(
    tmp_path: Path, delete_row: Callable[[Path, str, str], None]
) -> None:
    path = tmp_path / "dna.db"
    filled(path)
    with SqliteDnaStore.open(path) as store:
        tip = store.get(store.refs()["main"])
        parent = store.get(tip.parents[0])

    delete_row(path, "genomes", parent.genome.hash)
    delete_row(path, "commits", parent.parents[0])

    found = "\n".join(problems(path))
    assert f"commit {parent.hash[:12]}: its genome {parent.genome.hash[:12]} is missing" in found
    assert f"its parent {parent.parents[0][:12]} is missing" in found or f"commit {parent.hash[:12]}" in found

    delete_row(path, "commits", tip.hash)
    assert f"branch main: it points at {tip.hash[:12]}, which is missing" in "\n".join(problems(path))


@pytest.fixture
def delete_row() -> Callable[[Path, str, str], None]:
    def delete(path: Path, table: str, row: str) -> None:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute(f"DELETE FROM {table} WHERE hash = ?", (row,))  # noqa: S608
            connection.commit()

    return delete
