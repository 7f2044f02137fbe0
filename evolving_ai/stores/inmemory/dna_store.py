"""DNA in memory: for tests and for runs that leave nothing behind. Durable only as long as the process."""

import threading
from collections.abc import Mapping
from types import MappingProxyType

from evolving_ai.domain.dna import Commit
from evolving_ai.errors import RefConflictError, RefNotFoundError
from evolving_ai.stores.dna_objects import StoredCommit, damage, decode_commit

__all__ = ["InMemoryDnaStore"]


class InMemoryDnaStore:
    """A `DnaStore` of dictionaries; threads may share it. It keeps bytes, as a real store does, not live objects."""

    def __init__(self) -> None:
        self._genomes: dict[str, bytes] = {}
        self._commits: dict[str, StoredCommit] = {}
        self._refs: dict[str, str] = {}
        self._turn = threading.Lock()

    def put(self, commit: Commit) -> None:
        with self._turn:
            for parent in commit.parents:
                self._require(parent)
            self._genomes.setdefault(commit.genome.hash, commit.genome.to_bytes())
            stored = StoredCommit(commit.hash, commit.genome.hash, commit.to_bytes())
            self._commits.setdefault(commit.hash, stored)

    def get(self, commit_hash: str) -> Commit:
        with self._turn:
            stored = self._require(commit_hash)
            return decode_commit(stored, self._genomes.get(stored.genome_hash))

    def find(self, prefix: str) -> tuple[str, ...]:
        with self._turn:
            return tuple(
                sorted(
                    stored.hash
                    for stored in self._commits.values()
                    if stored.hash.startswith(prefix) or stored.genome_hash.startswith(prefix)
                )
            )

    def refs(self) -> Mapping[str, str]:
        with self._turn:
            return MappingProxyType(dict(sorted(self._refs.items())))

    def set_ref(self, name: str, *, expected: str | None, new: str | None) -> None:
        with self._turn:
            if self._refs.get(name) != expected:
                raise RefConflictError(f"branch {name} has moved since it was read: read it again and retry")
            if new is None:
                self._refs.pop(name, None)
                return
            self._require(new)
            self._refs[name] = new

    def check(self) -> tuple[str, ...]:
        with self._turn:
            return damage(self._genomes, self._commits.values(), self._refs)

    def _require(self, commit_hash: str) -> StoredCommit:
        try:
            return self._commits[commit_hash]
        except KeyError:
            raise RefNotFoundError(f"there is no commit {commit_hash[:12]}") from None
