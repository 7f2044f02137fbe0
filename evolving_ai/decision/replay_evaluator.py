"""The evaluator of a routing campaign: replay of recorded outcomes on cross-validation folds.

Each fold's requests are decided by a policy that was fitted on the other folds, so no candidate is judged on rows
that it has seen. The evaluator holds no outcome that a decision reads: predictions first, outcomes after.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evolving_ai._common.rng import derive_rng
from evolving_ai.decision.cost_quality import CurvePoint, aiq, cost_limits, oracle_choice, single_points
from evolving_ai.decision.fit_cache import FitCache
from evolving_ai.decision.fitting import Fitter
from evolving_ai.decision.outcome_table import OutcomeTable
from evolving_ai.decision.predictor import Prediction, Predictor
from evolving_ai.decision.scoring import cost_weights, scores
from evolving_ai.domain.dna import Genome
from evolving_ai.domain.fitness import Evaluation, Objective, Score
from evolving_ai.domain.genes import GeneValue
from evolving_ai.errors import DataError

__all__ = ["FITNESS", "ROUTING_OBJECTIVES", "ReplayEvaluator", "ReplaySettings"]

ROUTING_OBJECTIVES = (
    Objective("quality", "maximize", "points of 100"),
    Objective("cost_usd_per_1k", "minimize", "USD per 1,000 requests"),
)
FITNESS = "fitness_score"
"""The measure of utility over the oracle's utility, 0 to 1."""

_SWEEP_POINTS = 25


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """How a campaign judges.

    `folds` >= 2. `utility_cost_weight` is what the mean cost of the dearest model is worth in points of quality
    (0 to 1): with it, `fitness_score` is the utility of the candidate over that of the oracle.
    """

    folds: int = 3
    seed: int = 0
    utility_cost_weight: float = 0.1

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise ValueError(f"cross-validation needs two folds or more, not {self.folds}")


class ReplayEvaluator:
    """Scores genomes by quality and cost on held-out folds of one table. Deterministic given the genome."""

    objectives = ROUTING_OBJECTIVES

    def __init__(self, table: OutcomeTable, settings: ReplaySettings) -> None:
        if len(table) < settings.folds:
            raise DataError(f"{len(table)} queries cannot be split into {settings.folds} folds: expected more rows")
        self._table = table
        self._cache = FitCache()
        self._fitter = Fitter(table, cache=self._cache)
        self._fold = derive_rng(settings.seed, "folds").permutation(len(table)) % settings.folds
        self._folds = settings.folds
        self._is_scored = table.known.any(axis=1)  # a query that nobody's answer was recorded for tells nothing
        singles = single_points(table)
        self._limits = cost_limits(singles.values())
        # USD of one request to points of quality.
        self._utility_rate = settings.utility_cost_weight / max(self._limits[1] / 1000, 1e-12)
        chosen = oracle_choice(table)
        rows = np.arange(len(table))
        self._oracle_utility = self._utility(table.score[rows, chosen], table.cost_usd[rows, chosen])

    def _utility(self, score: NDArray[np.float64], cost_usd: NDArray[np.float64]) -> float:
        return float(np.nanmean(score - self._utility_rate * cost_usd))

    def evaluate(self, genome: Genome) -> Evaluation:
        """Quality and cost at the genome's own cost weight; AIQ over a sweep and `fitness_score` as measures."""
        held_out = [self._predict_fold(genome.genes, fold) for fold in range(self._folds)]
        score, cost = self._replay(genome.genes, held_out, None)
        curve = [self._point(*self._replay(genome.genes, held_out, weight)) for weight in self._sweep(genome.genes)]
        own = self._point(score, cost)
        count = max(len(score), 1)
        fitness = self._utility(score, cost) / self._oracle_utility if self._oracle_utility > 0 else 0.0
        return Evaluation(
            scores={
                "quality": Score(own.quality, float(score.std() * 100 / np.sqrt(count))),
                "cost_usd_per_1k": Score(own.cost_usd_per_1k, float(cost.std() * 1000 / np.sqrt(count))),
            },
            measures={"aiq": aiq([own, *curve], *self._limits), FITNESS: min(max(fitness, 0.0), 1.0)},
        )

    def _sweep(self, genes: Mapping[str, GeneValue]) -> list[float]:
        return cost_weights(_SWEEP_POINTS, float(genes["score.cost_weight"]))

    def _predict_fold(self, genes: Mapping[str, GeneValue], fold: int) -> tuple[NDArray[np.intp], Prediction, float]:
        """The rows of a fold, what a policy fitted on the other folds predicts for them, and its cost scale."""
        rows = np.flatnonzero((self._fold == fold) & self._is_scored)
        snapshot = self._fitter.fit(genes, self._fold != fold)
        x = self._fitter.features(genes)[rows]
        linear = self._cache.get("heads", (snapshot.hash, fold), lambda: x @ snapshot.arrays["weights"])
        return rows, Predictor(snapshot, genes).from_linear(linear), snapshot.cost_scale_usd

    def _replay(
        self,
        genes: Mapping[str, GeneValue],
        held_out: list[tuple[NDArray[np.intp], Prediction, float]],
        cost_weight: float | None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Score and cost of the chosen answers, over all folds."""
        parts = []
        for rows, prediction, scale in held_out:
            ranked = scores(prediction, genes, scale, cost_weight)
            ranked = np.where(self._table.known[rows], ranked, -np.inf)
            choice = ranked.argmax(axis=1)
            parts.append((self._table.score[rows, choice], self._table.cost_usd[rows, choice]))
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def _point(self, score: NDArray[np.float64], cost_usd: NDArray[np.float64]) -> CurvePoint:
        return CurvePoint(float(cost_usd.mean() * 1000), float(score.mean() * 100))
