"""Genomes and commits: their hashes name their content."""

import pickle
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai._common.canonical import sha256_hex
from evolving_ai.domain.dna import Commit, Genome
from evolving_ai.domain.genes import GeneValue
from evolving_ai.domain.mutation import Change, Mutation
from evolving_ai.errors import CorruptionError

TIME = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
MUTATION = Mutation("mut-1", "manual", ("router",), (Change("a", 1, 2.5), Change("b", None, "x")), 0.5, {"ok": True})

genes = st.dictionaries(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=8),
    st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(codec="utf-8"), max_size=8),
    max_size=6,
)


def commit_of(genome: Genome, **changes: object) -> Commit:
    facts = {"parents": ("a" * 64,), "author": "ann", "time": TIME, "message": "why", "mutation": MUTATION}
    return Commit(genome, **(facts | changes))  # type: ignore[arg-type]


def test_the_hash_of_a_known_genome_never_changes() -> None:
    genome = Genome({"routing.cost_weight": 0.5})

    assert genome.to_bytes() == b'{"genes":{"routing.cost_weight":0.5},"schema_version":1}'
    assert genome.hash == "a8b507b43f76796a49467e705e9981b4fa58929d46017a4b998188816c31e707"


@given(genes, st.randoms(use_true_random=False))
def test_the_same_genes_have_the_same_hash_whatever_their_order(values: dict[str, GeneValue], random: object) -> None:
    items = list(values.items())
    random.shuffle(items)  # type: ignore[attr-defined]

    assert Genome(dict(items)).hash == Genome(values).hash
    assert Genome(dict(items)) == Genome(values)


def test_one_and_one_point_zero_are_the_same_genome() -> None:
    assert Genome({"a": 1}) == Genome({"a": 1.0})
    assert Genome({"a": 1}).hash == Genome({"a": 1.0}).hash


@given(genes)
def test_a_genome_reads_back_byte_identical(values: dict[str, GeneValue]) -> None:
    genome = Genome(values)

    read = Genome.from_bytes(genome.to_bytes())

    assert read == genome
    assert read.to_bytes() == genome.to_bytes()


@given(genes, st.text(st.characters(codec="utf-8"), max_size=10))
def test_a_commit_reads_back_with_the_same_hash(values: dict[str, GeneValue], message: str) -> None:
    commit = commit_of(Genome(values), message=message, evaluations=("e1",))

    read = Commit.from_bytes(commit.to_bytes(), Genome(values))

    assert read == commit
    assert read.hash == commit.hash == sha256_hex(commit.to_bytes())


@pytest.mark.parametrize(
    "change", [{"parents": ()}, {"author": "bob"}, {"message": "else"}, {"mutation": None}, {"evaluations": ("e",)}]
)
def test_every_fact_of_a_commit_counts_in_its_hash(change: dict[str, object]) -> None:
    genome = Genome({"a": 1})

    assert commit_of(genome, **change).hash != commit_of(genome).hash


def test_genomes_and_commits_can_be_pickled() -> None:
    commit = commit_of(Genome({"a": 1}))

    assert pickle.loads(pickle.dumps(commit)) == commit  # noqa: S301
    assert hash(pickle.loads(pickle.dumps(commit.genome))) == hash(commit.genome)  # noqa: S301


def test_a_genome_cannot_be_changed_in_place() -> None:
    genome = Genome({"a": 1})

    with pytest.raises(TypeError):
        genome.genes["a"] = 2  # type: ignore[index]
    assert genome.replacing({"a": 2}).genes == {"a": 2}
    assert genome.genes == {"a": 1}


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"[]", b"{}", b'{"genes":{"a":NaN},"schema_version":1}', b'{"genes":[],"schema_version":1}']
)
def test_bytes_that_are_no_genome_are_refused(data: bytes) -> None:
    with pytest.raises(CorruptionError, match="not a genome"):
        Genome.from_bytes(data)


def test_a_genome_of_a_later_schema_is_refused() -> None:
    with pytest.raises(CorruptionError, match="schema 2 is not known"):
        Genome.from_bytes(b'{"genes":{},"schema_version":2}')


def test_a_commit_of_another_genome_is_refused() -> None:
    commit = commit_of(Genome({"a": 1}))

    with pytest.raises(CorruptionError, match="names genome"):
        Commit.from_bytes(commit.to_bytes(), Genome({"a": 2}))


def test_a_commit_needs_a_time_zone() -> None:
    with pytest.raises(ValueError, match="aware"):
        commit_of(Genome({}), time=datetime(2026, 1, 1))  # noqa: DTZ001
