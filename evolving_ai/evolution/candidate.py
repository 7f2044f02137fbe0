"""Candidates: what a campaign asked for, and what became of it."""

from dataclasses import dataclass
from typing import Any

from evolving_ai.domain.dna import Genome
from evolving_ai.domain.fitness import Evaluation
from evolving_ai.domain.mutation import Mutation
from evolving_ai.stores.ports import CandidateRecord

__all__ = ["Candidate", "Scored"]


@dataclass(frozen=True)
class Candidate:
    """The `index`-th genome of a campaign with its origin.

    `parents` are indices of earlier candidates (none: a seed or a blind sample); `emitter` proposed it by `operator`.
    `mutation` tells what changed against the first parent (None for a seed).
    """

    index: int
    genome: Genome
    parents: tuple[int, ...]
    emitter: str
    operator: str
    mutation: Mutation | None

    def to_record(self) -> CandidateRecord:
        """What the ledger keeps."""
        document: dict[str, Any] = {
            "genes": dict(self.genome.genes),
            "schema_version": self.genome.schema_version,
            "parents": list(self.parents),
            "emitter": self.emitter,
            "operator": self.operator,
            "mutation": None if self.mutation is None else self.mutation.to_json(),
        }
        return CandidateRecord(index=self.index, genome_hash=self.genome.hash, document=document)


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate with its result, None while there is none; `entered`: it was added to the archive when admitted."""

    candidate: Candidate
    evaluation: Evaluation | None
    entered: bool = False
