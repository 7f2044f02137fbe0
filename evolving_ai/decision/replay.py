"""Replay: decide recorded requests as if they arrived now, and write down what was decided.

Greedy replay decides without outcomes in reach: it is handed requests only. Stream replay is handed a teller, which
gives away the outcome of a choice after the choice, and of no other.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from evolving_ai._common.files import write_atomically
from evolving_ai.decision.engine import DecisionEngine
from evolving_ai.decision.learning.stream_learner import StreamLearner
from evolving_ai.decision.outcome_table import OutcomeTable, RequestTable
from evolving_ai.decision.predictor import Prediction
from evolving_ai.decision.scoring import PURE_COST, scores

__all__ = ["Decisions", "replay_greedy", "replay_stream", "sweep_weights"]

_PROBES = 97
_LEAST_COST_USD = 1e-12  # answers may be free, and nothing has no logarithm


@dataclass
class Decisions:
    """Decisions in the order in which they were made; columns as in the decision file."""

    seed: int
    query_ids: list[str] = field(default_factory=list)
    points: list[int] = field(default_factory=list)
    cost_weights: list[float] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    propensities: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.query_ids)

    def add(self, query_id: str, point: int, cost_weight: float, model: str, propensity: float) -> None:
        self.query_ids.append(query_id)
        self.points.append(point)
        self.cost_weights.append(cost_weight)
        self.models.append(model)
        self.propensities.append(propensity)

    def save(self, path: Path) -> None:
        """Write Parquet: query_id, seed, point, cost_weight, model, propensity. Whole or not at all."""
        table = pa.table(
            {
                "query_id": pa.array(self.query_ids, pa.string()),
                "seed": pa.array([self.seed] * len(self), pa.int64()),
                "point": pa.array(self.points, pa.int64()),
                "cost_weight": pa.array(self.cost_weights, pa.float64()),
                "model": pa.array(self.models, pa.string()),
                "propensity": pa.array(self.propensities, pa.float64()),
            }
        )
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        write_atomically(path, buffer.getvalue())

    def outcomes(self, table: OutcomeTable) -> dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """For each point: score and cost (USD) of the chosen answers, in the order of the decisions."""
        row = {query_id: place for place, query_id in enumerate(table.query_ids)}
        column = {model: place for place, model in enumerate(table.models)}
        rows = np.array([row[query_id] for query_id in self.query_ids], np.intp)
        columns = np.array([column[model] for model in self.models], np.intp)
        point_of = np.array(self.points)
        return {
            int(point): (
                table.score[rows[point_of == point], columns[point_of == point]],
                table.cost_usd[rows[point_of == point], columns[point_of == point]],
            )
            for point in np.unique(point_of)
        }


def replay_greedy(engine: DecisionEngine, table: RequestTable, weights: Sequence[float], *, seed: int) -> Decisions:
    """Decide every request at every cost weight, without exploration. The engine's pool holds the table's models."""
    place = {model: position for position, model in enumerate(engine.models)}
    columns = np.array([place[model] for model in table.models], np.intp)
    decisions = Decisions(seed)
    for row, request in enumerate(table.requests):
        prediction = engine.predict(request)
        pool = Prediction(prediction.quality[columns], prediction.cost_usd[columns])
        for point, weight in enumerate(weights):
            ranked = scores(pool, engine.genome.genes, engine.snapshot.cost_scale_usd, weight)
            ranked = np.where(table.available[row], ranked, -np.inf)
            decisions.add(table.query_ids[row], point, weight, table.models[int(ranked.argmax())], 1.0)
    return decisions


def replay_stream(
    make_learner: Callable[[], StreamLearner],
    table: RequestTable,
    weights: Sequence[float],
    tell: Callable[[str, str], tuple[float, float]],
    *,
    seed: int,
) -> Decisions:
    """Decide the requests in order, learning after each one; a learner of its own for each cost weight.

    `tell(query_id, model)` gives score and cost (USD) of that one answer, and is asked once for each decision.
    """
    decisions = Decisions(seed)
    for point, weight in enumerate(weights):
        learner = make_learner()
        for row, request in enumerate(table.requests):
            choice = learner.choose(request, table.available[row], cost_weight=weight)
            model = table.models[choice.model]
            decisions.add(table.query_ids[row], point, weight, model, choice.propensity)
            score, cost_usd = tell(table.query_ids[row], model)
            learner.learn(choice, score=score, cost_usd=cost_usd)
    return decisions


def sweep_weights(points: int, engine: DecisionEngine, prediction: Prediction) -> list[float]:
    """Cost weights from pure quality to pure cost that spread a router's mean cost evenly.

    `prediction` is for requests that were fitted on. Weights at equal distances (in their logarithm) crowd where
    nothing changes; these are chosen so that the predicted mean cost falls in `points` about equal steps, half of
    them in cost and half in its logarithm. One point: the genome's own weight.
    """
    own = float(engine.genome.genes["score.cost_weight"])
    if points == 1:
        return [own]
    if points == 2:
        return [0.0, PURE_COST]
    probes = [0.0, *np.geomspace(1e-4, 1e3, _PROBES).tolist(), PURE_COST]
    costs = np.array([_mean_cost(engine, prediction, weight) for weight in probes])
    falling = np.minimum.accumulate(costs)
    high, low = (max(float(cost), _LEAST_COST_USD) for cost in (falling[0], falling[-1]))
    steps = np.linspace(0.0, 1.0, points)
    levels = 0.5 * (high + (low - high) * steps) + 0.5 * np.exp(np.log(high) + (np.log(low) - np.log(high)) * steps)
    inner = [probes[_first_at_most(falling, level)] for level in levels[1:-1]]
    return [0.0, *_strictly_rising(inner), PURE_COST]


def _mean_cost(engine: DecisionEngine, prediction: Prediction, weight: float) -> float:
    ranked = scores(prediction, engine.genome.genes, engine.snapshot.cost_scale_usd, weight)
    choice = ranked.argmax(axis=1)
    return float(prediction.cost_usd[np.arange(len(choice)), choice].mean())


def _first_at_most(falling: NDArray[np.float64], level: float) -> int:
    place = int(np.argmax(falling <= level))
    return min(max(place, 1), _PROBES)


def _strictly_rising(weights: Sequence[float]) -> list[float]:
    """Equal neighbours (a cost that falls in one jump) are told apart by a hair, so that points stay distinct."""
    rising: list[float] = []
    for weight in weights:
        rising.append(weight if not rising or weight > rising[-1] else rising[-1] * 1.01)
    return rising
