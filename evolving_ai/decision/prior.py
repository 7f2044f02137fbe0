"""What a policy knows before anything was recorded: prices, and nothing else.

All models are taken to be equally good (0.5, with a standard error as large), so the cheapest one that is eligible is
chosen, and whatever is learned later outweighs this at once: every model is a cold model of the snapshot. The cost of
a model is that of a typical request, whose size is a guess that is the same for all: only ratios of costs decide.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from evolving_ai.decision.features import STATISTICS, Array, FeatureConfig
from evolving_ai.decision.fitting import fit_genes
from evolving_ai.decision.snapshot import Snapshot
from evolving_ai.domain.dna import Genome
from evolving_ai.domain.money import NANO_PER_USD, TokenPrice
from evolving_ai.errors import DataError

__all__ = ["TYPICAL_INPUT_TOKENS", "TYPICAL_OUTPUT_TOKENS", "price_snapshot", "with_known_prices"]

TYPICAL_INPUT_TOKENS = 500
TYPICAL_OUTPUT_TOKENS = 300
_UNKNOWN_QUALITY = 0.5
_UNKNOWN_COST_USD = 1e-3
_LEAST_COST_USD = 1e-7  # free models too: costs are divided by


def price_snapshot(genome: Genome, models: Sequence[str], prices: Mapping[str, TokenPrice]) -> Snapshot:
    """A snapshot for `genome` over `models`, sorted, from prices alone. DataError when there is no model.

    A model without a price costs as much as the dearest one that has one.
    """
    if not models:
        raise DataError("the pool is empty: expected at least one model to decide about")
    pool = tuple(sorted(set(models)))
    known = [_typical_cost_usd(prices[model]) for model in pool if model in prices]
    dearest = max(known, default=_UNKNOWN_COST_USD)
    cost = np.array([_typical_cost_usd(prices[m]) if m in prices else dearest for m in pool], np.float32)
    return Snapshot(
        models=pool,
        classes=(),
        context_values=(),
        cold_models=pool,
        cost_scale_usd=float(cost.max()),
        fit_genes=fit_genes(genome.genes),
        arrays=_arrays(
            FeatureConfig.from_genes(genome.genes).buckets, cost, genome.genes["cost.predictor"] == "linear"
        ),
    )


def _arrays(buckets: int, cost: Array, is_linear: bool) -> dict[str, Array]:
    """No weights, no classes, no clusters; a linear model of the log cost is its bias."""
    models = len(cost)
    nothing = np.zeros((0, models), np.float32)
    quality = np.full(models, _UNKNOWN_QUALITY, np.float32)
    log_cost = np.log(cost) if is_linear else np.zeros(models, np.float32)
    groups = ("class_quality", "class_error", "class_cost", "cluster_quality", "cluster_error", "cluster_cost")
    return {
        "rarity": np.ones(buckets, np.float32),
        "statistics_mean": np.zeros(STATISTICS, np.float32),
        "statistics_scale": np.ones(STATISTICS, np.float32),
        "weights": np.zeros((buckets + STATISTICS, 2 * models), np.float32),
        "bias": np.concatenate([np.zeros(models, np.float32), log_cost]).astype(np.float32),
        "quality_mean": quality,
        "quality_error": quality.copy(),
        "cost_mean": cost,
        "cost_ratio": np.ones(models, np.float32),
        **{name: nothing.copy() for name in groups},
    }


def with_known_prices(snapshot: Snapshot, prices: Mapping[str, TokenPrice]) -> Snapshot:
    """`snapshot` with the price's cost for the cold models that have a price, rather than that of the dearest model.

    A cold model's costs all change by one factor, so whichever predictor the genome uses gets the new cost.
    """
    cold = [place for place, model in enumerate(snapshot.models) if model in snapshot.cold_models and model in prices]
    factor = np.ones(len(snapshot.models), np.float32)
    for place in cold:
        expected = _typical_cost_usd(prices[snapshot.models[place]])
        factor[place] = expected / max(float(snapshot.arrays["cost_mean"][place]), _LEAST_COST_USD)
    if not cold:
        return snapshot
    scaled = {
        name: snapshot.arrays[name] * factor for name in ("cost_mean", "class_cost", "cluster_cost", "cost_ratio")
    }
    return replace(snapshot, arrays={**snapshot.arrays, **scaled})


def _typical_cost_usd(price: TokenPrice) -> float:
    nano = price.cost_nano_usd(TYPICAL_INPUT_TOKENS, TYPICAL_OUTPUT_TOKENS)
    return max(nano / NANO_PER_USD, _LEAST_COST_USD)
