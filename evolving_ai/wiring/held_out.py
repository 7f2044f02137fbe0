"""A policy on recorded requests that it was not fitted on: what it would have chosen, and what came of that.

Fitted is on the train split, decided is the validation split; a table that has none is cross-fitted on its train rows.
The test split is for reporting: nothing here reads it.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evolving_ai._common.canonical import canonical_bytes
from evolving_ai._common.rng import derive_rng
from evolving_ai.decision.cost_quality import bootstrap_interval
from evolving_ai.decision.engine import DecisionEngine
from evolving_ai.decision.features import RequestView
from evolving_ai.decision.fitting import Fitter, fit_genes
from evolving_ai.decision.outcome_table import TRAIN, VALIDATION, OutcomeTable, load_outcomes, splits_of
from evolving_ai.decision.prior import with_known_prices
from evolving_ai.decision.snapshot import Snapshot
from evolving_ai.domain.dna import Genome
from evolving_ai.domain.money import TokenPrice
from evolving_ai.rollout.gates import HeldOut
from evolving_ai.wiring.pool import load_pool
from evolving_ai.wiring.snapshots import bootstrap_snapshot, recorded_outcomes

__all__ = ["Choices", "Ground", "Trial", "choose", "compare", "joined", "prompts", "trials"]

_FOLDS = 5
_PROMPTS = (
    "",
    "What is 17 + 25?",
    "def solve(items):\n    return sorted(items)[0]",
    "Ποια είναι η πρωτεύουσα της Ελλάδας? 日本の首都はどこですか。",
    "Summarise this. " * 500,
)
"""Put to a policy where no prompt was recorded."""


@dataclass(frozen=True)
class Ground:
    """What a candidate is judged on: the pool, the table of recorded outcomes (None: there is none), the prices.

    It keeps what it fitted: DNA that differs in nothing that is fitted shares a snapshot.
    """

    models: tuple[str, ...]
    table: Path | None
    prices: Mapping[str, TokenPrice]
    _fitted: dict[bytes, Snapshot] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of_home(cls, home: Path) -> "Ground":
        """That of an installation; raises what `load_pool` raises."""
        pool = load_pool(home)
        return cls(pool.models, pool.table, {target.model: target.price for target in pool.targets})

    @classmethod
    def of_table(cls, table: Path) -> "Ground":
        """The models that the train split of a table knows. DataError when it cannot be read."""
        return cls(load_outcomes(table, split=TRAIN).models, table, {})

    def snapshot(self, genome: Genome) -> Snapshot:
        """What a replica would begin with."""
        key = canonical_bytes(fit_genes(genome.genes))
        if key not in self._fitted:
            self._fitted[key] = bootstrap_snapshot(genome, self.models, self.table, self.prices)
        return self._fitted[key]


@dataclass(frozen=True)
class Trial:
    """Rows to decide, over the whole pool, and the fit for a policy that has not seen them."""

    rows: OutcomeTable
    fit: Callable[[Genome], Snapshot]


@dataclass(frozen=True)
class Choices:
    """What one policy chooses for each row of a trial, and what it predicted of that.

    `model` (a place in the pool) and `predicted_usd` are of its first choice. Of the models whose outcome was recorded,
    it likes `judged` best: the score (0 to 1), the cost (USD) and the latency (seconds, NaN: unknown) are that one's.
    """

    model: NDArray[np.intp]
    predicted_usd: NDArray[np.float64]
    judged: NDArray[np.intp]
    score: NDArray[np.float64]
    cost_usd: NDArray[np.float64]
    latency_s: NDArray[np.float64]


def trials(ground: Ground) -> tuple[str, tuple[Trial, ...]]:
    """Which rows are decided, in words, and the trials; none where nothing was recorded that may be looked at."""
    if ground.table is None:
        return "", ()
    splits = splits_of(ground.table)
    if splits is not None and {TRAIN, VALIDATION} <= splits:
        rows = recorded_outcomes(ground.table, ground.models, VALIDATION)
        if rows is not None:
            return "validation requests", (Trial(rows.with_models(ground.models), ground.snapshot),)
    if splits is not None and TRAIN not in splits:
        return "", ()
    train = recorded_outcomes(ground.table, ground.models, None if splits is None else TRAIN)
    if train is None or len(train) < 2:
        return "", ()
    return f"train requests ({_FOLDS} folds, as the table has no validation split)", tuple(_crossed(ground, train))


def _crossed(ground: Ground, table: OutcomeTable) -> list[Trial]:
    """A trial for each fold, fitted on the others; queries are dealt out in the order of the hashes of their ids."""
    fitter = Fitter(table.with_models(ground.models))
    digests = [hashlib.sha256(query_id.encode()).hexdigest() for query_id in table.query_ids]
    fold_of = np.empty(len(table), np.intp)
    fold_of[np.argsort(digests)] = np.arange(len(table)) % _FOLDS
    return [_fold(ground, fitter, fold_of == fold) for fold in range(min(_FOLDS, len(table)))]


def _fold(ground: Ground, fitter: Fitter, decided: NDArray[np.bool_]) -> Trial:
    def fit(genome: Genome) -> Snapshot:
        return with_known_prices(fitter.fit(genome.genes, ~decided), ground.prices)

    return Trial(fitter.table.take(decided), fit)


def choose(engine: DecisionEngine, rows: OutcomeTable) -> Choices:
    """Decide every row as a replica would, without its outcome; then look the outcome up."""
    decisions = [engine.decide(request) for request in rows.requests]
    scores = np.array([decision.score_values for decision in decisions])
    judged = np.where(rows.known, scores, -np.inf).argmax(axis=1)
    at = np.arange(len(rows)), judged
    return Choices(
        model=np.array([decision.chosen for decision in decisions], np.intp),
        predicted_usd=np.array([decision.costs_usd[decision.chosen] for decision in decisions]),
        judged=judged,
        score=rows.score[at],
        cost_usd=rows.cost_usd[at],
        latency_s=np.full(len(rows), np.nan) if rows.latency_s is None else rows.latency_s[at],
    )


def joined(parts: Sequence[Choices]) -> Choices:
    """The choices of several trials, one after the other."""
    names = [each.name for each in dataclasses.fields(Choices)]
    return Choices(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def prompts(given: Sequence[Trial], most: int) -> tuple[RequestView, ...]:
    """Up to `most` requests, from all over the rows; a few made-up ones where nothing was recorded."""
    requests = [request for trial in given for request in trial.rows.requests]
    if not requests:
        return tuple(RequestView(text) for text in _PROMPTS)
    places = np.unique(np.linspace(0, len(requests) - 1, min(most, len(requests))).astype(np.intp))
    return tuple(requests[place] for place in places)


def compare(rows: str, candidate: Choices, live: Choices) -> HeldOut:
    """The figures of both on the same rows. Deterministic."""
    gain = bootstrap_interval(100 * (candidate.score - live.score), derive_rng(0, "gates"))
    both_timed = ~np.isnan(candidate.latency_s + live.latency_s)

    def seconds(choices: Choices) -> float | None:
        return float(choices.latency_s[both_timed].mean()) if both_timed.any() else None

    return HeldOut(
        rows=rows,
        requests=len(candidate.score),
        quality=float(100 * candidate.score.mean()),
        live_quality=float(100 * live.score.mean()),
        difference=gain.value,
        low=gain.low,
        high=gain.high,
        cost_usd_per_1k=float(1000 * candidate.cost_usd.mean()),
        live_cost_usd_per_1k=float(1000 * live.cost_usd.mean()),
        latency_s=seconds(candidate),
        live_latency_s=seconds(live),
        unrecorded=float((candidate.model != candidate.judged).mean()),
    )
