"""The ports of durable state. Every implementation passes the same contract suite (`tests/contract`)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from evolving_ai.domain.dna import Commit
from evolving_ai.domain.fitness import Evaluation

__all__ = ["CampaignLedger", "CandidateRecord", "DnaStore"]


class DnaStore(Protocol):
    """Commits by hash, and branches as refs that move by compare-and-set.

    Guarantees: a commit is durable when `put` returns, and a ref when `set_ref` returns; a stored commit never
    changes; concurrent `set_ref` calls on one ref are applied one after the other, and one whose expectation no
    longer holds changes nothing; after a crash at any point every ref names a whole commit.
    """

    def put(self, commit: Commit) -> None:
        """Store a commit and its genome; storing it again is no change. RefNotFoundError: a parent is missing."""
        ...

    def get(self, commit_hash: str) -> Commit:
        """The commit, verified against its hash. RefNotFoundError when absent, CorruptionError when damaged."""
        ...

    def find(self, prefix: str) -> tuple[str, ...]:
        """The commits, sorted, whose own hash or whose genome's hash starts with `prefix` (lower-case hexadecimal)."""
        ...

    def refs(self) -> Mapping[str, str]:
        """Every branch and the commit it points at, by name."""
        ...

    def set_ref(self, name: str, *, expected: str | None, new: str | None) -> None:
        """Move `name` from `expected` (None: it must not exist) to `new` (None: delete it).

        RefConflictError when it points elsewhere, RefNotFoundError when `new` is not a stored commit.
        """
        ...

    def check(self) -> tuple[str, ...]:
        """Verify every stored byte and ref; the problems found, each in a line. Empty: all is well."""
        ...


@dataclass(frozen=True, slots=True)
class CandidateRecord:
    """What a campaign asked for: the `index`-th candidate, as JSON that the campaign understands."""

    index: int
    genome_hash: str
    document: Mapping[str, Any]


class CampaignLedger(Protocol):
    """The durable log of one campaign. One writer process; a second one is refused with LockedError.

    Guarantees: what a method wrote is durable when it returns; a candidate and an evaluation are each committed
    exactly once, whoever delivers them how often; the log reads back in the order of the indices.
    """

    def header(self) -> Mapping[str, Any]:
        """The campaign's description, as it was given when the ledger was created."""
        ...

    def commit(self, candidates: Sequence[CandidateRecord], evaluations: Mapping[int, Evaluation]) -> tuple[int, ...]:
        """Log candidates and results of logged candidates, all of them or (when it raises) none.

        Logging the same candidate again is no change, and the first result of a candidate stands; the indices whose
        results are new are returned, sorted. CorruptionError when an index is already taken by another genome, or a
        result names a candidate that is not logged.
        """
        ...

    def candidates(self) -> Iterator[tuple[CandidateRecord, Evaluation | None]]:
        """Everything logged, in the order of the indices. CorruptionError when a stored row is damaged."""
        ...

    def set_state(self, state: str, detail: Mapping[str, Any]) -> None:
        """Record where the campaign stands (see `evolution.state.CampaignState`) with what belongs to it."""
        ...

    def state(self) -> tuple[str, Mapping[str, Any]]:
        """The last recorded state and its detail; `created` and nothing for a new ledger."""
        ...

    def close(self) -> None:
        """Give the ledger back to the next writer; closing again is no change."""
        ...
