"""Choosing, among candidates that trade quality for cost, the one to run."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Contender", "choose_operating_point"]


@dataclass(frozen=True, slots=True)
class Contender:
    """A candidate on held-out folds: quality (of 100) and USD per 1,000 requests with standard errors, and AIQ."""

    index: int
    quality: float
    quality_error: float
    cost_usd_per_1k: float
    cost_error: float
    aiq: float


def choose_operating_point(contenders: Sequence[Contender], max_cost_usd_per_1k: float) -> Contender:
    """The best candidate that costs at most `max_cost_usd_per_1k`; the cheapest one when none is that cheap.

    The cost of requests to come is not known either: two standard errors have to fit below the limit as well.
    The highest quality among hundreds of candidates is partly luck. So all within half a standard error of it count
    as equal, and of these the one with the best whole curve (AIQ) is taken, which is measured on many operating
    points and so depends less on the luck of one; then the cheaper, then the earlier.
    """
    if not contenders:
        raise ValueError("there is no candidate to choose from")
    affordable = [c for c in contenders if c.cost_usd_per_1k + 2 * c.cost_error <= max_cost_usd_per_1k]
    if not affordable:
        return min(contenders, key=lambda c: (c.cost_usd_per_1k, -c.quality, c.index))
    best = max(affordable, key=lambda c: (c.quality, -c.index))
    equal = [c for c in affordable if c.quality >= best.quality - 0.5 * best.quality_error]
    return max(equal, key=lambda c: (c.aiq, -c.cost_usd_per_1k, -c.index))
