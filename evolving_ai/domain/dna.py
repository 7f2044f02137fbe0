"""DNA: one immutable, content-addressed version of everything that the system may evolve.

A *genome* is what runs; its hash names behaviour. A *commit* says where a genome came from; its hash names history.
Fitness is never part of either: it arrives later, as records about a genome.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from evolving_ai._common.canonical import canonical_bytes, parse_canonical, sha256_hex
from evolving_ai.domain.genes import GeneValue
from evolving_ai.domain.mutation import Mutation
from evolving_ai.errors import CorruptionError

__all__ = ["GENOME_SCHEMA_VERSION", "Commit", "Genome"]

GENOME_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Genome:
    """The genes of one DNA. `hash` (`dna_hash`) is the SHA-256 of its canonical JSON (RFC 8785)."""

    genes: Mapping[str, GeneValue]
    schema_version: int = GENOME_SCHEMA_VERSION
    hash: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "genes", MappingProxyType(dict(sorted(self.genes.items()))))
        object.__setattr__(self, "hash", sha256_hex(self.to_bytes()))

    def __hash__(self) -> int:
        return hash(self.hash)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self.genes), self.schema_version)

    def to_bytes(self) -> bytes:
        """The canonical JSON that the hash is taken of."""
        return canonical_bytes({"schema_version": self.schema_version, "genes": self.genes})

    @classmethod
    def from_bytes(cls, data: bytes) -> "Genome":
        """Read what `to_bytes` wrote; CorruptionError when it is something else."""
        try:
            document = parse_canonical(data)
            genome = cls(genes=document["genes"], schema_version=document["schema_version"])
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise CorruptionError(f"this is not a genome: expected {{schema_version, genes}} ({exc})") from exc
        if genome.schema_version != GENOME_SCHEMA_VERSION:
            raise CorruptionError(
                f"genome schema {genome.schema_version} is not known: this release reads {GENOME_SCHEMA_VERSION}"
            )
        return genome

    def replacing(self, changes: Mapping[str, GeneValue]) -> "Genome":
        """This genome with some genes changed; legality is the search space's business."""
        return Genome(genes={**self.genes, **changes}, schema_version=self.schema_version)


@dataclass(frozen=True)
class Commit:
    """A genome with its origin. Immutable; `hash` is the SHA-256 of its canonical JSON.

    `parents` are commit hashes (none: a root; two: a crossover). `evaluations` name the records that spoke for it.
    """

    genome: Genome
    parents: tuple[str, ...]
    author: str
    time: datetime
    message: str
    mutation: Mutation | None = None
    evaluations: tuple[str, ...] = ()
    hash: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        if self.time.tzinfo is None:
            raise ValueError("a commit's time is aware and in UTC")
        object.__setattr__(self, "hash", sha256_hex(self.to_bytes()))

    def to_bytes(self) -> bytes:
        """Canonical JSON. The genome is named by its hash: its bytes are stored once, beside."""
        return canonical_bytes(
            {
                "genome": self.genome.hash,
                "parents": list(self.parents),
                "author": self.author,
                "time": self.time.isoformat(),
                "message": self.message,
                "mutation": None if self.mutation is None else self.mutation.to_json(),
                "evaluations": list(self.evaluations),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes, genome: Genome) -> "Commit":
        """Read what `to_bytes` wrote; CorruptionError when it is something else or names another genome."""
        try:
            document = parse_canonical(data)
            mutation = document["mutation"]
            commit = cls(
                genome=genome,
                parents=tuple(document["parents"]),
                author=document["author"],
                time=datetime.fromisoformat(document["time"]),
                message=document["message"],
                mutation=None if mutation is None else Mutation.from_json(mutation),
                evaluations=tuple(document["evaluations"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise CorruptionError(f"this is not a commit ({exc})") from exc
        if document["genome"] != genome.hash:
            raise CorruptionError(f"the commit names genome {document['genome'][:12]}, not {genome.hash[:12]}")
        return commit
