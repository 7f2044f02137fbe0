"""AIQ: the whole cost-quality curve of the evolved policy beside those of the baselines, on the same test queries.

Every arm is a sweep of its cost weight, kept query by query, so that one resample of the queries gives a curve of
each arm and the difference of their areas is paired. The limits of the cost axis belong to the resample too.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evolving_ai._common.rng import derive_rng
from evolving_ai.decision.cost_quality import CurvePoint, aiq
from evolving_ai.decision.outcome_table import OutcomeTable
from evolving_ai.domain.dna import Genome
from evolving_ai.errors import DataError
from experiments.benchmarks.bar import Bar, Limit
from experiments.benchmarks.loop.baselines import (
    TextFeatures,
    cost_weight_sweep,
    neighbour_prediction,
    ridge_prediction,
)
from experiments.benchmarks.loop.search import decided

__all__ = ["Sweep", "areas", "baseline_sweeps", "curve_bars"]

_POINTS = 60
_RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Sweep:
    """A router over its cost weights: score (0 to 1) and cost (USD), float64[points, queries]."""

    score: NDArray[np.float64]
    cost_usd: NDArray[np.float64]

    @classmethod
    def of_choices(cls, choices: Iterable[NDArray[np.intp]], outcomes: OutcomeTable) -> "Sweep":
        """What the chosen models reach."""
        rows = np.arange(len(outcomes))
        chosen = list(choices)
        score = np.array([outcomes.score[rows, columns] for columns in chosen])
        return cls(score, np.array([outcomes.cost_usd[rows, columns] for columns in chosen]))


def baseline_sweeps(train: OutcomeTable, test: OutcomeTable) -> dict[str, Sweep]:
    """kNN and ridge on TF-IDF; the zero router (mixtures of single models); the oracle (true scores and costs)."""
    if train.models != test.models or not (train.known.all() and test.known.all()):
        raise DataError("the baselines need every model's outcome for every query: use a complete table")
    features = TextFeatures(train, test)
    predictions = {
        "kNN": neighbour_prediction(train, features),
        "ridge": ridge_prediction(train, features),
        "oracle": (test.score, test.cost_usd),
    }
    sweeps = {name: Sweep.of_choices(cost_weight_sweep(prediction), test) for name, prediction in predictions.items()}
    return {**sweeps, "zero router": Sweep(test.score.T, test.cost_usd.T)}


def areas(sweep: Sweep, outcomes: OutcomeTable, counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """AIQ of a sweep on each resample; `counts[resample, query]` says how often a query was drawn."""
    drawn = counts.sum(axis=1, keepdims=True)
    quality = 100 * (counts @ sweep.score.T) / drawn
    cost = 1000 * (counts @ sweep.cost_usd.T) / drawn
    single_cost = 1000 * (counts @ outcomes.cost_usd) / drawn
    low, high = single_cost.min(axis=1), single_cost.max(axis=1)
    return np.array(
        [
            aiq(map(CurvePoint, cost[row].tolist(), quality[row].tolist()), float(low[row]), float(high[row]))
            for row in range(len(counts))
        ]
    )


def curve_bars(genome: Genome, table: Path, train: OutcomeTable, test: OutcomeTable) -> Iterator[Bar]:
    """AIQ of every arm, and the paired difference to the nearest neighbours."""
    sweeps = {"evolved": Sweep(*decided(genome, table, test, _POINTS)), **baseline_sweeps(train, test)}
    count = len(test)
    once = np.ones((1, count), np.int64)
    for name, sweep in sweeps.items():
        yield Bar(f"AIQ of {name}", float(areas(sweep, test, once)[0]), "points of 100")
    rng = derive_rng(0, "aiq")
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=_RESAMPLES)
    for name, limit in (("kNN", Limit(">=", 1.5)), ("ridge", None)):
        gap = (areas(sweeps["evolved"], test, once) - areas(sweeps[name], test, once))[0]
        gaps = areas(sweeps["evolved"], test, drawn) - areas(sweeps[name], test, drawn)
        low, high = np.quantile(gaps, [0.025, 0.975])
        yield Bar(f"AIQ less {name}'s", float(gap), "points", limit, (float(low), float(high)))
