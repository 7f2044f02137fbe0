"""What the sequential tests say of a rollout, for people and for the audit log."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, NamedTuple

__all__ = [
    "ArmFigures",
    "HistoryPoint",
    "Observation",
    "RailEvidence",
    "RailName",
    "RailPoint",
    "Ruling",
    "Verdict",
]


class RailName(StrEnum):
    """The guard rails."""

    QUALITY = "quality"
    COST = "cost"
    LATENCY = "latency"
    ERRORS = "errors"


class Observation(NamedTuple):
    """What one request tells the guard rails. None: nothing.

    `share` is the probability with which this request was assigned to the canary. `score` is 0 to 1. `unit` stands for
    the user or the conversation that was assigned as a whole; None: this request was by itself.
    """

    is_canary: bool
    share: float
    score: float | None = None
    cost_usd: float | None = None
    latency_s: float | None = None
    has_failed: bool | None = None
    unit: int | None = None


class Verdict(StrEnum):
    """What is to be done."""

    GO_ON = "go_on"
    GROW = "grow"  # to the next stage
    PROMOTE = "promote"
    ROLL_BACK = "roll_back"


class Ruling(NamedTuple):
    """A verdict, and its reason in one line for people."""

    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ArmFigures:
    """How many observations of an arm a guard rail has, and their mean, in the rail's unit (None: no observation)."""

    count: int
    mean: float | None


@dataclass(frozen=True, slots=True)
class RailEvidence:
    """One guard rail.

    The means of the arms are as people know them: the mean score times 100 for quality, the share of requests in
    percent for errors and slow requests, US dollars for 1,000 requests for cost. `difference` is the canary's mean
    loss less the control's in the rail's unit, positive means worse: points of 100 for quality, errors and slow
    requests, US dollars for 1,000 requests for cost. `harm` and `proof` are e-values: the evidence that the candidate
    is worse than the margin allows, and that it is not; each decides when it reaches its threshold, and stays there.
    `margin` and `proof_margin` are in the unit of `difference`. The tests of cost bound the mean cost where a request
    counts as ten times the live DNA's first mean at most; the figures are the means of what was paid.

    `is_proven` is more than a proof that has decided: each arm has 30 first requests, too, and the mean of what was
    paid is lower by the saving that was asked for.
    """

    rail: RailName
    unit: str
    canary: ArmFigures
    control: ArmFigures
    difference: float | None
    margin: float | None
    proof_margin: float | None
    harm: float
    harm_threshold: float
    proof: float
    proof_threshold: float
    is_breached: bool
    is_proven: bool

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {**asdict(self), "rail": self.rail.value}


class RailPoint(NamedTuple):
    """The e-values of a rail at some moment, and its difference in its unit (None: an arm has no observation)."""

    harm: float
    proof: float
    difference: float | None


class HistoryPoint(NamedTuple):
    """All rails after so many requests, in the order of `RailName`."""

    requests: int
    rails: tuple[RailPoint, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON object: `requests`, and an object for each rail."""
        rails = {name.value: point._asdict() for name, point in zip(RailName, self.rails, strict=True)}
        return {"requests": self.requests, **rails}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "HistoryPoint":
        """What `to_json` made; KeyError or TypeError when it is something else."""
        return cls(document["requests"], tuple(RailPoint(**document[name.value]) for name in RailName))
