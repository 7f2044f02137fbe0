"""What a ref may look like, and what it resolves to."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from evolving_ai.domain.dna import Commit, Genome
from evolving_ai.errors import RefNotFoundError, UsageError
from evolving_ai.stores.inmemory.dna_store import InMemoryDnaStore
from evolving_ai.stores.refs import check_branch_name, resolve

START = datetime(2026, 1, 1, tzinfo=UTC)


def fill(store: InMemoryDnaStore, count: int, *, one_genome: bool = False) -> list[Commit]:
    """A straight line of commits on `main`, the root first."""
    commits: list[Commit] = []
    for number in range(count):
        parents = (commits[-1].hash,) if commits else ()
        genome = Genome({"n": 0 if one_genome else number})
        commits.append(Commit(genome, parents, "ann", START + timedelta(seconds=number), str(number)))
        store.put(commits[-1])
    store.set_ref("main", expected=None, new=commits[-1].hash)
    return commits


@pytest.fixture
def store() -> InMemoryDnaStore:
    return InMemoryDnaStore()


@pytest.mark.parametrize("name", ["main", "a", "x-1", "team/exp.2", "0", "abc", "beefy", "1-2", "v1.0"])
def test_a_plain_name_can_name_a_branch(name: str) -> None:
    assert check_branch_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "-x", ".x", "/x", "a..b", "a//b", "a/", "a.", "a b", "a~1", "a\n", "é", "x" * 101, "beef", "DEAD", "1234"],
)
def test_a_name_that_is_unsafe_or_reads_as_a_hash_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a branch"):
        check_branch_name(name)


def test_a_branch_resolves_to_its_tip_and_a_tilde_climbs_first_parents(store: InMemoryDnaStore) -> None:
    commits = fill(store, 4)

    assert resolve(store, "main") == commits[3]
    assert resolve(store, "main~") == commits[2]
    assert resolve(store, "main~0") == commits[3]
    assert resolve(store, "main~3") == commits[0]
    assert resolve(store, f"{commits[2].hash[:10]}~1") == commits[1]


def test_climbing_beyond_the_root_says_how_far_it_goes(store: InMemoryDnaStore) -> None:
    fill(store, 3)

    with pytest.raises(RefNotFoundError, match="main has 2 first-parent ancestors, not 5: main~2 is its root"):
        resolve(store, "main~5")


def test_hash_prefixes_of_either_kind_and_case_resolve(store: InMemoryDnaStore) -> None:
    commits = fill(store, 3)

    for commit in commits:
        assert resolve(store, commit.hash) == commit
        assert resolve(store, commit.hash[:16].upper()) == commit
        assert resolve(store, commit.genome.hash[:16]) == commit


def test_a_genome_hash_names_the_oldest_commit_that_holds_it(store: InMemoryDnaStore) -> None:
    commits = fill(store, 4, one_genome=True)

    assert resolve(store, commits[0].genome.hash[:12]) == commits[0]


def test_an_ambiguous_prefix_lists_its_candidates(store: InMemoryDnaStore) -> None:
    commits = fill(store, 2000)
    hashes = sorted(value for commit in commits for value in (commit.hash, commit.genome.hash))
    twins = next((a, b) for a, b in itertools.pairwise(hashes) if a[:4] == b[:4])

    with pytest.raises(RefNotFoundError, match=f"{twins[0][:4]} is ambiguous: .*give more digits") as caught:
        resolve(store, twins[0][:4])

    assert all(twin[:12] in str(caught.value) for twin in twins)


@pytest.mark.parametrize(
    ("ref", "hint"),
    [
        ("mian", "did you mean main"),
        ("abc", "at least 4 digits"),
        ("0123456789", "lists the branches"),
        ("", "not a ref"),
        ("main~x", "not a ref"),
        ("~1", "not a ref"),
        ("main~1~1", "not a ref"),
    ],
)
def test_what_names_nothing_is_refused_with_a_hint(store: InMemoryDnaStore, ref: str, hint: str) -> None:
    fill(store, 2)

    with pytest.raises(RefNotFoundError, match=hint):
        resolve(store, ref)
