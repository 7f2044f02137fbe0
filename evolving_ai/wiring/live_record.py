"""What is live: one file that names the commit, the DNA and the snapshot, exchanged as a whole.

During a rollout it names the candidate, too, with its share of the requests.

It is written after what it names is on the disk, and read by every replica that starts; so a replica can serve with
the control deployment dead, and a crash at any moment leaves either the old or the new pair live.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from evolving_ai._common.files import write_atomically
from evolving_ai.domain.dna import Genome
from evolving_ai.errors import CorruptionError, UsageError

__all__ = ["CanaryVersion", "LiveRecord", "LiveVersion", "genome_json", "load_live", "save_live"]

_KEPT = 50


@dataclass(frozen=True, slots=True)
class LiveVersion:
    """One pair of DNA and snapshot that is or was live. `since` is ISO 8601, `reason` why it went live."""

    generation: int
    commit: str
    dna_hash: str
    snapshot_hash: str
    since: str
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class CanaryVersion:
    """The candidate of a rollout, and which share of the requests (0 to 1) it decides."""

    rollout: str
    share: float
    commit: str
    dna_hash: str
    snapshot_hash: str
    genome: Mapping[str, Any]

    def read_genome(self) -> Genome:
        """The candidate's genome, verified against its hash; CorruptionError."""
        return _verified(self.genome, self.dna_hash)


@dataclass(frozen=True, slots=True)
class LiveRecord:
    """The live version with its genome, those before it, the newest first, and the candidate of a running rollout.

    `generation` grows with every exchange, whatever is exchanged.
    """

    current: LiveVersion
    genome: Mapping[str, Any]
    previous: tuple[LiveVersion, ...] = ()
    canary: CanaryVersion | None = None

    def followed_by(self, version: LiveVersion, genome: Genome) -> "LiveRecord":
        """The record once `version` is live; a rollout ends with that."""
        kept = (self.current, *self.previous)[:_KEPT]
        return LiveRecord(version, genome_json(genome), kept)

    def refitted(self, snapshot_hash: str, since: str, reason: str) -> "LiveRecord":
        """The same DNA with another snapshot: no step in the history of DNA, but another generation."""
        current = replace(
            self.current,
            generation=self.current.generation + 1,
            snapshot_hash=snapshot_hash,
            since=since,
            reason=reason,
        )
        return replace(self, current=current)

    def with_canary(self, canary: CanaryVersion | None) -> "LiveRecord":
        """The same live DNA beside another candidate, or beside none."""
        current = replace(self.current, generation=self.current.generation + 1)
        return replace(self, current=current, canary=canary)

    def rollback_target(self) -> LiveVersion:
        """The newest version before this one that had other DNA; UsageError when there is none."""
        for version in self.previous:
            if version.dna_hash != self.current.dna_hash:
                return version
        raise UsageError("there is no earlier live DNA to roll back to: only one was ever live")

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        return {
            "current": asdict(self.current),
            "genome": dict(self.genome),
            "previous": [asdict(version) for version in self.previous],
            "canary": None if self.canary is None else asdict(self.canary),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "LiveRecord":
        """The record; KeyError, TypeError or ValueError when the document is something else."""
        previous = tuple(LiveVersion(**fields) for fields in document["previous"])
        canary = None if document.get("canary") is None else CanaryVersion(**document["canary"])
        return cls(LiveVersion(**document["current"]), document["genome"], previous, canary)

    def read_genome(self) -> Genome:
        """The live genome, verified against its hash; CorruptionError."""
        return _verified(self.genome, self.current.dna_hash)


def _verified(document: Mapping[str, Any], dna_hash: str) -> Genome:
    try:
        genome = Genome(document["genes"], document["schema_version"])
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise CorruptionError("the live record holds no genome: expected {schema_version, genes}") from exc
    if genome.hash != dna_hash:
        raise CorruptionError(f"a genome of the live record does not match its hash {dna_hash[:12]}")
    return genome


def genome_json(genome: Genome) -> dict[str, Any]:
    """A genome as a JSON object."""
    return {"schema_version": genome.schema_version, "genes": dict(genome.genes)}


def _path(home: Path) -> Path:
    return home / "live" / "current.json"


def load_live(home: Path) -> LiveRecord | None:
    """What is live; None when nothing ever was. CorruptionError when the file is damaged."""
    try:
        return LiveRecord.from_json(json.loads(_path(home).read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise CorruptionError(
            f"{_path(home)} is damaged: restore it from a backup, or remove it to start afresh"
        ) from exc


def save_live(home: Path, record: LiveRecord) -> None:
    """Let `record` be live; durable when this returns."""
    write_atomically(_path(home), json.dumps(record.to_json(), indent=1).encode())
