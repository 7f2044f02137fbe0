"""Stored DNA as bytes: how a commit is read back and verified, and how a whole store is checked.

Shared by every implementation of `DnaStore`, so that all of them find the same damage and say it in the same words.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from evolving_ai._common.canonical import sha256_hex
from evolving_ai.domain.dna import Commit, Genome
from evolving_ai.errors import CorruptionError

__all__ = ["StoredCommit", "damage", "decode_commit"]


@dataclass(frozen=True, slots=True)
class StoredCommit:
    """A commit as it lies in a store: its key, the genome it is filed under, and its canonical JSON."""

    hash: str
    genome_hash: str
    data: bytes


def decode_commit(stored: StoredCommit, genome_data: bytes | None) -> Commit:
    """The commit; CorruptionError unless its bytes and its genome's have the hashes that they are filed under."""
    if genome_data is None:
        raise CorruptionError(f"commit {stored.hash[:12]}: its genome {stored.genome_hash[:12]} is missing")
    if sha256_hex(genome_data) != stored.genome_hash:
        raise CorruptionError(f"genome {stored.genome_hash[:12]}: the stored bytes do not match the hash")
    if sha256_hex(stored.data) != stored.hash:
        raise CorruptionError(f"commit {stored.hash[:12]}: the stored bytes do not match the hash")
    return Commit.from_bytes(stored.data, Genome.from_bytes(genome_data))


def damage(genomes: Mapping[str, bytes], commits: Iterable[StoredCommit], refs: Mapping[str, str]) -> tuple[str, ...]:
    """Every stored byte verified: what is wrong, a line each."""
    stored = {commit.hash: commit for commit in commits}
    lines = [
        f"genome {key[:12]}: the stored bytes do not match the hash"
        for key, data in genomes.items()
        if sha256_hex(data) != key
    ]
    whole: set[str] = set()
    for commit in stored.values():
        problems = _commit_damage(commit, genomes, stored)
        lines.extend(problems)
        if not problems:
            whole.add(commit.hash)
    lines.extend(
        f"branch {name}: it points at {target[:12]}, which is {'damaged' if target in stored else 'missing'}"
        for name, target in refs.items()
        if target not in whole
    )
    return tuple(lines)


def _commit_damage(commit: StoredCommit, genomes: Mapping[str, bytes], stored: Mapping[str, StoredCommit]) -> list[str]:
    try:
        decoded = decode_commit(commit, genomes.get(commit.genome_hash))
    except CorruptionError as exc:
        return [str(exc)] if str(exc).startswith("commit") else [f"commit {commit.hash[:12]}: {exc}"]
    return [
        f"commit {commit.hash[:12]}: its parent {parent[:12]} is missing"
        for parent in decoded.parents
        if parent not in stored
    ]
