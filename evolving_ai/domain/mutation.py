"""Mutations: the recorded change from parents to a child."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from evolving_ai.domain.genes import GeneValue

__all__ = ["Change", "Mutation", "changes_between"]


@dataclass(frozen=True, slots=True)
class Change:
    """One gene before and after; None where the gene did not exist (a conditional gene)."""

    gene: str
    before: GeneValue | None
    after: GeneValue | None


@dataclass(frozen=True)
class Mutation:
    """A typed change.

    `type` names the operator (`gaussian`, `crossover`, `cma`, `manual`, ...), `target_components` whatever reads the
    changed genes. `safety_score` is 0 (touches everything it may) to 1 (touches nothing): one minus the share of
    the space's genes that changed, weighted by how far each moved within its legal range.
    `test_results` maps the name of a check to whether it passed.
    """

    id: str
    type: str
    target_components: tuple[str, ...]
    changes: tuple[Change, ...]
    safety_score: float
    test_results: Mapping[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0.0 <= self.safety_score <= 1.0:
            raise ValueError(f"a safety score lies in [0, 1], not {self.safety_score}")
        object.__setattr__(self, "test_results", MappingProxyType(dict(self.test_results)))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (
            self.id,
            self.type,
            self.target_components,
            self.changes,
            self.safety_score,
            dict(self.test_results),
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "id": self.id,
            "type": self.type,
            "target_components": list(self.target_components),
            "changes": [[change.gene, change.before, change.after] for change in self.changes],
            "safety_score": self.safety_score,
            "test_results": dict(self.test_results),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Mutation":
        """Read what `to_json` wrote; KeyError, TypeError or ValueError when it is something else."""
        return cls(
            id=document["id"],
            type=document["type"],
            target_components=tuple(document["target_components"]),
            changes=tuple(Change(*change) for change in document["changes"]),
            safety_score=document["safety_score"],
            test_results=document["test_results"],
        )


def changes_between(before: Mapping[str, GeneValue], after: Mapping[str, GeneValue]) -> tuple[Change, ...]:
    """What differs, in the order of the genes' names; 1 and 1.0 are equal, as in a genome's hash."""
    names = sorted(set(before) | set(after))
    pairs = ((name, before.get(name), after.get(name)) for name in names)
    return tuple(Change(name, old, new) for name, old, new in pairs if old != new)
