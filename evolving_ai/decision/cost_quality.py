"""Figures of a router over cost and quality, as RouterBench, LLMRouterBench and RouteLLM define them.

A router's *curve* is its (cost, quality) points over a sweep of cost weights. All qualities are mean scores times
100, all costs USD per 1,000 requests.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evolving_ai.decision.outcome_table import OutcomeTable

__all__ = [
    "CurvePoint",
    "Interval",
    "aiq",
    "bootstrap_interval",
    "cost_limits",
    "hull",
    "oracle_choice",
    "single_points",
]

_AIQ_GRID = 2001


@dataclass(frozen=True, slots=True, order=True)
class CurvePoint:
    """Mean cost (USD per 1,000 requests) and mean score times 100."""

    cost_usd_per_1k: float
    quality: float


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with the ends of its confidence interval."""

    value: float
    low: float
    high: float


def hull(points: Iterable[CurvePoint]) -> list[CurvePoint]:
    """The non-decreasing concave hull: what mixing the points by fixed odds can reach (RouterBench's zero router)."""
    rising: list[CurvePoint] = []
    for point in sorted(points, key=lambda p: (p.cost_usd_per_1k, -p.quality)):
        if not rising or point.quality > rising[-1].quality:
            rising.append(point)
    corners: list[CurvePoint] = []
    for point in rising:
        while len(corners) >= 2 and _is_below(corners[-2], corners[-1], point):
            corners.pop()
        corners.append(point)
    return corners


def _is_below(left: CurvePoint, middle: CurvePoint, right: CurvePoint) -> bool:
    rise = (middle.quality - left.quality) * (right.cost_usd_per_1k - left.cost_usd_per_1k)
    return rise <= (right.quality - left.quality) * (middle.cost_usd_per_1k - left.cost_usd_per_1k)


def aiq(points: Iterable[CurvePoint], low: float, high: float) -> float:
    """Average improvement in quality (RouterBench): area under the hull from cost `low` to `high`, over the width.

    Costs are cut to [low, high], usually the cheapest and the dearest single model; where the router has no point
    that cheap its quality counts as 0.
    """
    corners = hull(points)
    cost = np.array([corner.cost_usd_per_1k for corner in corners])
    quality = np.array([corner.quality for corner in corners])
    if high <= low:
        return float(quality.max())
    grid = np.linspace(low, high, _AIQ_GRID)
    return float(np.trapezoid(np.interp(grid, cost, quality, left=0.0), grid) / (high - low))


def single_points(table: OutcomeTable) -> dict[str, CurvePoint]:
    """What each model alone would reach on the queries where its outcome is known."""
    points = {}
    for column, model in enumerate(table.models):
        known = ~np.isnan(table.score[:, column])
        if known.any():
            cost = float(table.cost_usd[known, column].mean() * 1000)
            points[model] = CurvePoint(cost, float(table.score[known, column].mean() * 100))
    return points


def cost_limits(points: Iterable[CurvePoint]) -> tuple[float, float]:
    """The cheapest and the dearest cost."""
    costs = [point.cost_usd_per_1k for point in points]
    return min(costs), max(costs)


def oracle_choice(table: OutcomeTable) -> NDArray[np.intp]:
    """For each query the model with the highest score, the cheapest of those: the unreachable upper bound."""
    score = np.nan_to_num(table.score, nan=-1.0)
    is_top = score >= score.max(axis=1, keepdims=True) - 1e-9
    return np.asarray(np.where(is_top, np.nan_to_num(table.cost_usd, nan=np.inf), np.inf).argmin(axis=1), np.intp)


def bootstrap_interval(
    values: NDArray[np.float64] | Sequence[float],
    rng: np.random.Generator,
    *,
    resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """The mean with its percentile bootstrap interval (Efron 1979); pass paired differences for paired intervals."""
    data = np.asarray(values, np.float64)
    counts = rng.multinomial(len(data), np.full(len(data), 1.0 / len(data)), size=resamples)
    means = counts @ data / len(data)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(data.mean()), float(low), float(high))
