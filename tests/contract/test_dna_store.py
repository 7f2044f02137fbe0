"""What every `DnaStore` guarantees, run over every implementation."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from evolving_ai.domain.dna import Commit, Genome
from evolving_ai.domain.genes import GeneValue
from evolving_ai.domain.lineage import ancestors
from evolving_ai.errors import RefConflictError, RefNotFoundError
from evolving_ai.stores.inmemory.dna_store import InMemoryDnaStore
from evolving_ai.stores.ports import DnaStore
from evolving_ai.stores.sqlite.dna_store import SqliteDnaStore

START = datetime(2026, 1, 1, tzinfo=UTC)
MISSING = "0" * 64
MAX_THREADS = 4

OpenStore: TypeAlias = Callable[[], "contextmanager[DnaStore]"]  # type: ignore[type-arg]


@contextmanager
def in_memory() -> Iterator[DnaStore]:
    yield InMemoryDnaStore()


@contextmanager
def in_sqlite() -> Iterator[DnaStore]:
    with TemporaryDirectory() as folder, SqliteDnaStore.open(Path(folder) / "dna.db") as store:
        yield store


OPENERS = [in_memory, in_sqlite]


@pytest.fixture(params=OPENERS)
def store(request: pytest.FixtureRequest) -> Iterator[DnaStore]:
    with request.param() as opened:
        yield opened


def commit_of(number: int, *parents: str, genes: dict[str, GeneValue] | None = None) -> Commit:
    genome = Genome({"n": number} if genes is None else genes)
    return Commit(genome, parents, "ann", START + timedelta(seconds=number), f"number {number}")


def test_a_stored_commit_is_read_back_equal(store: DnaStore) -> None:
    root = commit_of(0)
    child = commit_of(1, root.hash)

    store.put(root)
    store.put(child)

    assert store.get(child.hash) == child
    assert store.get(child.hash).genome.to_bytes() == child.genome.to_bytes()


def test_storing_again_is_no_change(store: DnaStore) -> None:
    root = commit_of(0)
    store.put(root)
    store.set_ref("main", expected=None, new=root.hash)

    store.put(root)

    assert store.find("") == (root.hash,)
    assert store.refs() == {"main": root.hash}


def test_a_commit_without_its_parents_is_refused_and_leaves_nothing(store: DnaStore) -> None:
    orphan = commit_of(1, MISSING)

    with pytest.raises(RefNotFoundError, match="no commit 000000000000"):
        store.put(orphan)

    assert store.find("") == ()
    with pytest.raises(RefNotFoundError):
        store.get(orphan.hash)


def test_find_matches_prefixes_of_commit_and_genome_hashes(store: DnaStore) -> None:
    commits = [commit_of(number) for number in range(40)]
    for commit in commits:
        store.put(commit)

    for length in (0, 1, 2, 12, 64):
        for prefix in {commits[0].hash[:length], commits[1].genome.hash[:length]}:
            wanted = (c.hash for c in commits if c.hash.startswith(prefix) or c.genome.hash.startswith(prefix))
            assert store.find(prefix) == tuple(sorted(wanted))
    assert store.find("g") == ()


def test_a_genome_shared_by_commits_is_found_for_each(store: DnaStore) -> None:
    root = commit_of(0, genes={"a": 1})
    again = commit_of(1, root.hash, genes={"a": 1})
    store.put(root)
    store.put(again)

    assert store.find(root.genome.hash) == tuple(sorted((root.hash, again.hash)))


def test_a_ref_moves_only_from_where_the_writer_thinks_it_is(store: DnaStore) -> None:
    root = commit_of(0)
    child = commit_of(1, root.hash)
    store.put(root)
    store.put(child)
    store.set_ref("main", expected=None, new=root.hash)

    for wrong in (None, child.hash, MISSING):
        with pytest.raises(RefConflictError):
            store.set_ref("main", expected=wrong, new=child.hash)

    assert store.refs() == {"main": root.hash}
    store.set_ref("main", expected=root.hash, new=child.hash)
    assert store.refs() == {"main": child.hash}


def test_a_ref_cannot_point_at_nothing(store: DnaStore) -> None:
    with pytest.raises(RefNotFoundError):
        store.set_ref("main", expected=None, new=MISSING)

    assert store.refs() == {}


def test_a_deleted_ref_is_gone_and_its_commit_stays(store: DnaStore) -> None:
    root = commit_of(0)
    store.put(root)
    store.set_ref("main", expected=None, new=root.hash)

    store.set_ref("main", expected=root.hash, new=None)

    assert store.refs() == {}
    assert store.get(root.hash) == root
    with pytest.raises(RefConflictError):
        store.set_ref("main", expected=root.hash, new=None)


def test_threads_that_count_by_compare_and_set_lose_nothing(store: DnaStore) -> None:
    steps = 10
    root = commit_of(0, genes={"count": 0})
    store.put(root)
    store.set_ref("main", expected=None, new=root.hash)

    def count() -> None:
        for _ in range(steps):
            while True:
                tip = store.get(store.refs()["main"])
                bumped = commit_of(0, tip.hash, genes={"count": int(tip.genome.genes["count"]) + 1})
                store.put(bumped)
                try:
                    store.set_ref("main", expected=tip.hash, new=bumped.hash)
                except RefConflictError:
                    continue
                break

    threads = [threading.Thread(target=count) for _ in range(MAX_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert store.get(store.refs()["main"]).genome.genes == {"count": steps * MAX_THREADS}
    assert store.check() == ()


@pytest.mark.parametrize("open_store", OPENERS)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.floats(-1e300, 1e300) | st.text(max_size=5)), min_size=1))
def test_any_ancestor_restores_byte_identical(open_store: OpenStore, versions: list[dict[str, GeneValue]]) -> None:
    with open_store() as store:
        tip: tuple[str, ...] = ()
        for number, genes in enumerate(versions):
            commit = commit_of(number, *tip, genes=genes)
            store.put(commit)
            tip = (commit.hash,)

        restored = [commit.genome.to_bytes() for commit in ancestors(store.get(tip[0]), store.get)]

    assert restored == [Genome(genes).to_bytes() for genes in reversed(versions)]


class StoreAgainstModel(RuleBasedStateMachine):
    """Any sequence of calls behaves as dictionaries would."""

    open_store = staticmethod(in_memory)
    commits = Bundle("commits")
    names = st.sampled_from(["main", "a", "b"])

    @initialize()
    def start(self) -> None:
        self.resources = ExitStack()
        self.store = self.resources.enter_context(self.open_store())
        self.known: dict[str, Commit] = {}
        self.refs: dict[str, str] = {}

    def teardown(self) -> None:
        if hasattr(self, "resources"):
            self.resources.close()

    @rule(target=commits, number=st.integers(0, 3), parents=st.lists(commits, max_size=2))
    def put(self, number: int, parents: list[Commit]) -> Commit:
        commit = commit_of(number, *(parent.hash for parent in parents))
        self.store.put(commit)
        self.known[commit.hash] = commit
        return commit

    @rule(name=names, expected=st.none() | commits, new=st.none() | commits)
    def set_ref(self, name: str, expected: Commit | None, new: Commit | None) -> None:
        old_hash = None if expected is None else expected.hash
        new_hash = None if new is None else new.hash
        if self.refs.get(name) != old_hash:
            with pytest.raises(RefConflictError):
                self.store.set_ref(name, expected=old_hash, new=new_hash)
            return
        self.store.set_ref(name, expected=old_hash, new=new_hash)
        self.refs.pop(name, None)
        if new_hash is not None:
            self.refs[name] = new_hash

    @rule(name=names, new=commits)
    def advance(self, name: str, new: Commit) -> None:
        self.store.set_ref(name, expected=self.refs.get(name), new=new.hash)
        self.refs[name] = new.hash

    @rule(commit=consumes(commits), length=st.integers(0, 64))
    def find(self, commit: Commit, length: int) -> None:
        prefix = commit.genome.hash[:length]
        matches = (c.hash for c in self.known.values() if c.hash.startswith(prefix) or c.genome.hash.startswith(prefix))
        assert self.store.find(prefix) == tuple(sorted(matches))

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "store"):
            assert self.store.refs() == self.refs
            assert all(self.store.get(key) == commit for key, commit in self.known.items())
            assert self.store.check() == ()


class SqliteAgainstModel(StoreAgainstModel):
    open_store = staticmethod(in_sqlite)


TestInMemoryAgainstModel = StoreAgainstModel.TestCase
TestSqliteAgainstModel = SqliteAgainstModel.TestCase
