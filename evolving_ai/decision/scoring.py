"""The multi-criteria score: predicted quality less weighted predicted cost."""

from collections.abc import Mapping

import numpy as np

from evolving_ai.decision.features import Array
from evolving_ai.decision.predictor import Prediction
from evolving_ai.domain.genes import GeneValue

__all__ = ["PURE_COST", "cost_weights", "scores"]

PURE_COST = float("inf")
"""The cost weight at which quality no longer counts."""

_LOWEST_SWEEP_WEIGHT = 1e-3
_HIGHEST_SWEEP_WEIGHT = 1e2


def scores(
    prediction: Prediction, genes: Mapping[str, GeneValue], cost_scale_usd: float, cost_weight: float | None = None
) -> Array:
    """`quality - weight * (cost / scale) ** exponent` for each model: float32[..., M].

    Predicted costs are never negative. `cost_weight` overrides the gene; at `PURE_COST` the score is minus the
    relative cost.
    """
    weight = float(genes["score.cost_weight"]) if cost_weight is None else cost_weight
    if weight == 0.0:
        return prediction.quality
    relative = prediction.cost_usd * np.float32(1.0 / cost_scale_usd)
    if weight == PURE_COST:
        return -relative
    exponent = np.float32(genes["score.cost_exponent"])
    if exponent != 1.0:
        relative = np.power(relative, exponent)
    return prediction.quality - np.float32(weight) * relative


def cost_weights(points: int, own: float) -> list[float]:
    """The weights of a sweep: the genome's own for one point, else from pure quality to pure cost.

    Between the ends the weights are spaced evenly in their logarithm.
    """
    if points < 1:
        raise ValueError(f"a sweep has one point or more, not {points}")
    if points == 1:
        return [own]
    inner = np.geomspace(_LOWEST_SWEEP_WEIGHT, _HIGHEST_SWEEP_WEIGHT, points - 2) if points > 2 else np.empty(0)
    return [0.0, *(float(weight) for weight in inner), PURE_COST]
