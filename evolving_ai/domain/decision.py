"""Decisions: a ranking of targets with its reasons."""

import math
from collections.abc import Mapping, Sequence
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
    """A candidate of a decision: what was predicted of it, and the score that ranked it."""

    model: str
    quality: float
    cost_usd: float
    score: float


class Decision(NamedTuple):
    """What was decided for one request, over a pool of `models` (the four sequences are in one order).

    A tuple of plain columns, because one is made for every request: a ranking is sorted out of it when somebody asks.
    `chosen` is the place of the chosen model; a model that was not allowed has the score minus infinity.
    `propensity` is the probability with which it was chosen (1 without exploration).
    `relaxed` names the constraints that no eligible model met; they were dropped, in that order, rather than refuse.
    """

    models: tuple[str, ...]
    qualities: Sequence[float]
    costs_usd: Sequence[float]
    score_values: Sequence[float]
    chosen: int
    propensity: float
    dna_hash: str
    snapshot_hash: str
    relaxed: tuple[str, ...] = ()

    @property
    def model(self) -> str:
        """The chosen model."""
        return self.models[self.chosen]

    @property
    def ranking(self) -> tuple[RankedTarget, ...]:
        """The allowed models, best first; equal scores in the order of the pool."""
        columns = zip(self.models, self.qualities, self.costs_usd, self.score_values, strict=True)
        allowed = [RankedTarget(*column) for column in columns if column[3] != -math.inf]
        return tuple(sorted(allowed, key=lambda target: -target.score))

    @property
    def scores(self) -> Mapping[str, float]:
        """Scores of the allowed models, by model."""
        return {target.model: target.score for target in self.ranking}
