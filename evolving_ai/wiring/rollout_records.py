"""Rollouts on the disk: one file each, `rollouts/ID.json` below the home, written whole.

A file says where a rollout stands, everything that happened to it, and what its tests have taken in so far: the
statistics with the cursor of the outcomes that they were made of, so that whoever goes on neither loses nor repeats an
outcome. What is to happen next is written down before it is done (`intent`): whoever finds it there does it again.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from evolving_ai._common.files import disk_errors, write_atomically
from evolving_ai.domain.rollout import RolloutState, moved
from evolving_ai.errors import CorruptionError, RefNotFoundError, UsageError
from evolving_ai.rollout.plan import RolloutPlan
from evolving_ai.stores.ports import OutcomeCursor

__all__ = ["RolloutFolder", "RolloutRecord", "Transition", "VersionName"]

_ID = re.compile(r"rollout-[0-9a-z]{10}")


@dataclass(frozen=True, slots=True)
class VersionName:
    """A DNA: the commit that brought it, and the hash of its genome."""

    commit: str
    dna_hash: str


@dataclass(frozen=True, slots=True)
class Transition:
    """A step of a rollout. `share` is that of the requests from then on; `evidence` is what led to it, as JSON."""

    at: str
    state: RolloutState
    share: float | None
    reason: str
    evidence: Mapping[str, Any]
    actor: str


@dataclass(frozen=True, slots=True)
class RolloutRecord:
    """One rollout. Times are ISO 8601 in UTC.

    `statistics` is the controller's state after the outcomes up to `cursor` (batch and feedback). `exchange` tells, for
    one that was rolled back for harm, how long it took until every replica knew.
    """

    id: str
    actor: str
    candidate: VersionName
    incumbent: VersionName
    plan: RolloutPlan
    started: str
    state: RolloutState = RolloutState.GATING
    stage: int | None = None
    share: float | None = None
    gates: tuple[Mapping[str, Any], ...] = ()
    transitions: tuple[Transition, ...] = ()
    intent: Transition | None = None
    cursor: OutcomeCursor | None = None
    statistics: Mapping[str, Any] | None = None
    rails: tuple[Mapping[str, Any], ...] = ()
    requests: Mapping[str, int] | None = None
    exchange: Mapping[str, Any] | None = None
    ended: str | None = None

    @property
    def is_over(self) -> bool:
        return self.state.is_over

    def intending(self, step: Transition) -> "RolloutRecord":
        """The record that says what is about to be done. ValueError when the table of states forbids it."""
        moved(self.state, step.state)
        return replace(self, intent=step)

    def arrived(self) -> "RolloutRecord":
        """The record once its intent is done."""
        step = self.intent
        if step is None:
            return self
        ended = step.at if step.state.is_over else None
        return replace(
            self,
            state=step.state,
            share=step.share,
            transitions=(*self.transitions, step),
            intent=None,
            ended=ended,
        )

    def closed(self) -> "RolloutRecord":
        """What is kept of one that is over: of the statistics only how they came about."""
        statistics = None if self.statistics is None else {"history": self.statistics["history"]}
        return replace(self, statistics=statistics)

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        shallow = {field.name: getattr(self, field.name) for field in fields(self)}
        shallow |= {
            "candidate": asdict(self.candidate),
            "incumbent": asdict(self.incumbent),
            "plan": self.plan.to_json(),
            "state": self.state.value,
            "transitions": [asdict(step) for step in self.transitions],
            "intent": None if self.intent is None else asdict(self.intent),
        }
        return shallow

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "RolloutRecord":
        """The record; KeyError, TypeError, ValueError or UsageError when the document is something else."""
        read: dict[str, Any] = {
            **document,
            "candidate": VersionName(**document["candidate"]),
            "incumbent": VersionName(**document["incumbent"]),
            "plan": RolloutPlan.from_json(document["plan"]),
            "state": RolloutState(document["state"]),
            "transitions": tuple(_transition(step) for step in document["transitions"]),
            "intent": None if document["intent"] is None else _transition(document["intent"]),
            "gates": tuple(document["gates"]),
            "rails": tuple(document["rails"]),
            "cursor": None if document["cursor"] is None else OutcomeCursor(*document["cursor"]),
        }
        return cls(**read)


def _transition(document: Mapping[str, Any]) -> Transition:
    return Transition(**{**document, "state": RolloutState(document["state"])})


class RolloutFolder:
    """The rollouts of a home. One process writes."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "rollouts"

    def save(self, record: RolloutRecord) -> None:
        """Keep a record in place of its former state; durable when this returns. StorageError."""
        path = self._path(record.id)
        with disk_errors(path):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, json.dumps(record.to_json()).encode())

    def load(self, rollout_id: str) -> RolloutRecord:
        """RefNotFoundError when there is none, CorruptionError when its file is damaged."""
        if not _ID.fullmatch(rollout_id):
            raise RefNotFoundError(f"there is no rollout {rollout_id[:64]!r}: `evolving-ai rollout list` shows all")
        path = self._path(rollout_id)
        try:
            return RolloutRecord.from_json(json.loads(path.read_bytes()))
        except FileNotFoundError as exc:
            raise RefNotFoundError(f"there is no rollout {rollout_id}: `evolving-ai rollout list` shows all") from exc
        except (ValueError, KeyError, TypeError, AttributeError, UsageError) as exc:
            raise CorruptionError(f"{path} is damaged: restore it from a backup, or remove it") from exc

    def all(self) -> tuple[RolloutRecord, ...]:
        """Every rollout, the newest first; damaged files are passed over."""
        records = []
        for path in self._folder.glob("rollout-*.json"):
            try:
                records.append(self.load(path.stem))
            except (CorruptionError, RefNotFoundError):
                continue
        return tuple(sorted(records, key=lambda record: record.started, reverse=True))

    def _path(self, rollout_id: str) -> Path:
        return self._folder / f"{rollout_id}.json"
