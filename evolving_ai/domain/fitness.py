"""Fitness: what an evaluation found out about a genome."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

__all__ = ["Evaluation", "Objective", "Score"]

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True, slots=True)
class Objective:
    """One thing that is optimised; `unit` is for people."""

    name: str
    direction: Direction
    unit: str = ""

    def gain(self, value: float) -> float:
        """`value` turned so that larger is better."""
        return value if self.direction == "maximize" else -value


@dataclass(frozen=True, slots=True)
class Score:
    """A value with its standard error (in the objective's unit)."""

    value: float
    standard_error: float = 0.0


@dataclass(frozen=True)
class Evaluation:
    """One run of one candidate by one evaluator.

    `scores` holds every objective; `measures` whatever else was measured (behaviour, diagnostics).
    `fidelity` is the share of the full evaluation that was run, 0 < fidelity <= 1.
    `failure` is the one-line reason when the candidate could not be scored; then `scores` is empty.
    `duration_s` is the evaluator's own time; it is a fact about a run, not about the genome, and never steers a search.
    """

    scores: Mapping[str, Score] = field(default_factory=dict)
    measures: Mapping[str, float] = field(default_factory=dict)
    fidelity: float = 1.0
    failure: str | None = None
    duration_s: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", MappingProxyType(dict(self.scores)))
        object.__setattr__(self, "measures", MappingProxyType(dict(self.measures)))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self.scores), dict(self.measures), self.fidelity, self.failure, self.duration_s)

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "scores": {name: [score.value, score.standard_error] for name, score in self.scores.items()},
            "measures": dict(self.measures),
            "fidelity": self.fidelity,
            "failure": self.failure,
            "duration_s": self.duration_s,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Evaluation":
        """Read what `to_json` wrote; KeyError, TypeError or ValueError when it is something else."""
        return cls(
            scores={name: Score(*pair) for name, pair in document["scores"].items()},
            measures=document["measures"],
            fidelity=document["fidelity"],
            failure=document["failure"],
            duration_s=document["duration_s"],
        )
