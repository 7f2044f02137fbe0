"""Replaying recorded requests: which classes decide, and what may be read when."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evolving_ai._common.rng import derive_rng
from evolving_ai.decision.cost_quality import CurvePoint, aiq, cost_limits, single_points
from evolving_ai.decision.engine import DecisionEngine
from evolving_ai.decision.fitting import Fitter
from evolving_ai.decision.learning import StreamLearner
from evolving_ai.decision.outcome_table import OutcomeTable, RequestTable, has_outcomes, load_outcomes, load_requests
from evolving_ai.decision.predictor import Predictor
from evolving_ai.decision.replay import Decisions, replay_greedy, replay_stream, sweep_weights
from evolving_ai.decision.scoring import cost_weights
from evolving_ai.domain.dna import Genome
from evolving_ai.errors import DataError

__all__ = ["Mode", "PointFigures", "ReplayFigures", "ReplayRequest", "figures", "fitted_policy", "run_replay"]

Mode: TypeAlias = Literal["greedy", "stream"]


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """What to replay. `train` None: greedy replay fits on the train split of `data`, stream replay starts empty."""

    data: Path
    train: Path | None
    genome: Genome
    split: str | None
    mode: Mode
    points: int
    seed: int
    context: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PointFigures:
    """Mean figures of one cost weight: quality of 100, USD per 1,000 requests, USD in all."""

    point: int
    cost_weight: float
    quality: float
    cost_usd_per_1k: float
    cost_usd: float


@dataclass(frozen=True, slots=True)
class ReplayFigures:
    """The points, the area under their curve (None for one point), and the best single model to compare with."""

    points: tuple[PointFigures, ...]
    aiq: float | None
    best_single: str
    best_single_point: CurvePoint


def fitted_policy(train: OutcomeTable, genome: Genome, points: int) -> tuple[DecisionEngine, list[float]]:
    """An engine fitted on all of `train`, and the cost weights of a sweep of `points`."""
    fitter = Fitter(train)
    snapshot = fitter.fit(genome.genes)
    engine = DecisionEngine(genome, snapshot)
    prediction = Predictor(snapshot, genome.genes).predict(fitter.features(genome.genes))
    return engine, sweep_weights(points, engine, prediction)


def run_replay(request: ReplayRequest) -> Decisions:
    """Decide every request. Scores, costs and latencies of greedy replay's rows are not even loaded."""
    in_order = request.mode == "stream"
    table = load_requests(request.data, split=request.split, context=request.context, in_stream_order=in_order)
    if request.mode == "stream":
        return _stream(request, table)
    train_path = request.data if request.train is None else request.train
    train = _unseen(load_outcomes(train_path, split="train", context=request.context), table, train_path)
    engine, weights = fitted_policy(train.with_models(table.models), request.genome, request.points)
    return replay_greedy(engine, table, weights, seed=request.seed)


def _unseen(train: OutcomeTable, table: RequestTable, path: Path) -> OutcomeTable:
    """The rows to fit on without those that are to be decided: their outcomes would decide them."""
    decided = set(table.query_ids)
    rows = np.array([query_id not in decided for query_id in train.query_ids])
    if not rows.any():
        raise DataError(f"every train query of {path} is also to be decided: expected others to fit on; set --split")
    return train if rows.all() else train.take(rows)


def _stream(request: ReplayRequest, table: RequestTable) -> Decisions:
    outcomes = load_outcomes(request.data, split=request.split, context=request.context)
    table = _answerable(request, table, outcomes)
    teller = _Teller(outcomes)
    genes = request.genome.genes
    prior, weights = _prior(request, table)

    def make_learner() -> StreamLearner:
        return StreamLearner(table.models, genes, derive_rng(request.seed, "stream"), prior=prior)

    return replay_stream(make_learner, table, weights, teller.tell, seed=request.seed)


def _answerable(request: ReplayRequest, table: RequestTable, outcomes: OutcomeTable) -> RequestTable:
    """The requests with only those models in the pool whose outcome can be told."""
    row = {query_id: place for place, query_id in enumerate(outcomes.query_ids)}
    known = outcomes.known[[row[query_id] for query_id in table.query_ids]]
    if not known.any(axis=1).all():
        lost = table.query_ids[int(np.argmin(known.any(axis=1)))]
        raise DataError(f"{request.data}: query {lost} has no score of any model, expected at least one in a stream")
    return dataclasses.replace(table, available=known)


def _prior(request: ReplayRequest, table: RequestTable) -> tuple[DecisionEngine | None, Sequence[float]]:
    if request.train is None:
        return None, cost_weights(request.points, float(request.genome.genes["score.cost_weight"]))
    fitted = load_outcomes(request.train, split="train", context=request.context)
    train = _unseen(fitted, table, request.train).with_models(table.models)
    if train.models != table.models:
        extra = ", ".join(sorted(set(train.models) - set(table.models)))
        raise DataError(f"{request.train} knows models that {request.data} lacks ({extra}): expected the same pool")
    return fitted_policy(train, request.genome, request.points)


class _Teller:
    """Gives away one outcome at a time."""

    def __init__(self, outcomes: OutcomeTable) -> None:
        self._outcomes = outcomes
        self._rows = {query_id: row for row, query_id in enumerate(outcomes.query_ids)}
        self._columns = {model: column for column, model in enumerate(outcomes.models)}

    def tell(self, query_id: str, model: str) -> tuple[float, float]:
        cell = self._rows[query_id], self._columns[model]
        return float(self._outcomes.score[cell]), float(self._outcomes.cost_usd[cell])


def figures(request: ReplayRequest, decisions: Decisions) -> ReplayFigures | None:
    """How the decisions fared, by those whose outcome was recorded; None for a table without outcomes.

    Reads the outcomes: call it when the decisions are written. DataError when no outcome of a point was recorded.
    """
    if not has_outcomes(request.data):
        return None
    outcomes = load_outcomes(request.data, split=request.split, context=request.context)
    weight_of = dict(zip(decisions.points, decisions.cost_weights, strict=True))
    points = tuple(
        _fared(request.data, point, weight_of[point], score[~np.isnan(score)], cost[~np.isnan(score)])
        for point, (score, cost) in sorted(decisions.outcomes(outcomes).items())
    )
    singles = single_points(outcomes)
    best = min(singles, key=lambda model: (-singles[model].quality, singles[model].cost_usd_per_1k))
    curve = [CurvePoint(point.cost_usd_per_1k, point.quality) for point in points]
    area = aiq(curve, *cost_limits(singles.values())) if len(points) > 1 else None
    return ReplayFigures(points, area, best, singles[best])


def _fared(
    data: Path, point: int, cost_weight: float, score: NDArray[np.float64], cost: NDArray[np.float64]
) -> PointFigures:
    if not len(score):
        raise DataError(f"{data}: no answer chosen at point {point} has a score, expected recorded outcomes")
    return PointFigures(
        point=point,
        cost_weight=cost_weight,
        quality=float(score.mean() * 100),
        cost_usd_per_1k=float(cost.mean() * 1000),
        cost_usd=float(cost.sum()),
    )
