"""Decisions: a ranking of targets with its reasons."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Constraints", "Decision", "RankedTarget"]


@dataclass(frozen=True, slots=True)
class Constraints:
    """What a request demands, beyond being good and cheap. None: no demand.

    `eligible` names the models that may answer at all (None: the whole pool).
    """

    max_cost_usd: float | None = None
    min_quality: float | None = None
    eligible: frozenset[str] | None = None


class RankedTarget(NamedTuple):
    """A candidate of a decision: what was predicted of it, and the score that ranked it.

    A tuple because a decision makes one for each model: a frozen dataclass takes three times as long.
    """

    model: str
    quality: float
    cost_usd: float
    score: float


@dataclass(frozen=True, slots=True)
class Decision:
    """A ranking, best first.

    `propensity` is the probability with which the first target was chosen (1 without exploration).
    `relaxed` names the constraints that no eligible target met; they were dropped, in that order, rather than refuse.
    """

    ranking: tuple[RankedTarget, ...]
    propensity: float
    dna_hash: str
    snapshot_hash: str
    relaxed: tuple[str, ...] = ()

    @property
    def model(self) -> str:
        """The chosen model."""
        return self.ranking[0].model

    @property
    def scores(self) -> Mapping[str, float]:
        """Scores of all candidates by model."""
        return {target.model: target.score for target in self.ranking}
