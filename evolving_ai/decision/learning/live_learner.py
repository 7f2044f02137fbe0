"""Learning from live outcomes: from the snapshot that was fitted and what happened since, to the next snapshot.

The base snapshot says what to expect of each model for each kind of request. Every rated outcome moves the means of
the model that answered: overall, and in the classes and clusters that the request belongs to, by the base's own heads
on the recorded features. Means of groups are pulled along by the overall one, so a model that fails everywhere need not
be seen in each group. What the base was fitted on counts as a number of outcomes (shrinkage), older outcomes count
less (forgetting), rarely drawn ones more (importance weights, capped). Heads, weights and the cost scale stay the
base's: they are for a campaign to fit again. Deterministic, closed form, no clock, no I/O; the state can be made again
by giving the same lessons to a new learner.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evolving_ai.decision.engine import DecisionEngine
from evolving_ai.decision.feature_codec import decode_features
from evolving_ai.decision.features import Array
from evolving_ai.decision.learning.evidence import Evidence
from evolving_ai.decision.learning.lesson import Lesson
from evolving_ai.decision.snapshot import Snapshot
from evolving_ai.domain.dna import Genome
from evolving_ai.errors import DataError

__all__ = ["LearnerSettings", "LiveLearner"]

_Matrix = NDArray[np.float64]
_COLD_QUERIES = 1.0  # what the guess about a cold model is worth
_LEAST_COST_USD = 1e-9
_LEAST_VARIANCE = 0.01


@dataclass(frozen=True, slots=True)
class LearnerSettings:
    """How fast a learner changes its mind.

    `base_queries` > 0: how many outcomes of each model the base snapshot counts as. `forgetting` in (0, 1]: what an
    outcome counts for after one more of its model. `max_weight` >= 1: cap of the importance weight 1 / propensity.
    `min_outcomes` >= 1: lessons between two snapshots.
    """

    base_queries: float = 200.0
    forgetting: float = 0.999
    max_weight: float = 10.0
    min_outcomes: int = 200

    def __post_init__(self) -> None:
        if not (self.base_queries > 0 and 0 < self.forgetting <= 1 and self.max_weight >= 1 and self.min_outcomes >= 1):
            raise ValueError(f"a learner cannot work with {self}: see the ranges in its docstring")


@dataclass(frozen=True, slots=True)
class _Expectation:
    """What the base expects of a request: quality and cost by model, and to which groups it belongs."""

    quality: Array
    cost_usd: Array
    classes: _Matrix
    clusters: _Matrix


class LiveLearner:
    """Learns for one genome from one base snapshot; UsageError when that was fitted with other genes."""

    def __init__(self, genome: Genome, base: Snapshot, settings: LearnerSettings | None = None) -> None:
        self._base = base
        self._settings = settings or LearnerSettings()
        # Caution belongs to deciding: what is learned are means, without it.
        self._engine = DecisionEngine(genome.replacing({"score.caution": 0.0}), base)
        self._place = {model: place for place, model in enumerate(base.models)}
        overall = _base_queries(base, self._settings.base_queries)
        arrays, forgetting = base.arrays, self._settings.forgetting
        self._overall = Evidence(overall, forgetting=forgetting)
        self._classes = Evidence(_group_queries(base, overall, "class"), forgetting=forgetting)
        self._clusters = Evidence(_group_queries(base, overall, "cluster"), forgetting=forgetting)
        groups = len(arrays["class_quality"]), len(arrays["cluster_quality"])
        self._unknown = _Expectation(
            arrays["quality_mean"], arrays["cost_mean"], np.zeros(groups[0]), np.zeros(groups[1])
        )
        self._learned = 0
        self._since = 0

    @property
    def base(self) -> Snapshot:
        return self._base

    @property
    def learned(self) -> int:
        """Lessons taken so far."""
        return self._learned

    def learn(self, lessons: Iterable[Lesson]) -> Snapshot | None:
        """Take lessons in order; a new snapshot when `min_outcomes` were taken since the last one was given.

        A lesson about a model outside the pool is passed over. One whose features are of another configuration, or
        damaged, moves the overall means alone.
        """
        for lesson in lessons:
            place = self._place.get(lesson.model)
            if place is not None:
                self._take(lesson, place)
        return self.snapshot() if self._since >= self._settings.min_outcomes else None

    def snapshot(self) -> Snapshot:
        """What is believed now; the base itself, with its hash, when nothing was learned."""
        self._since = 0
        touched = self._overall.touched
        if not touched.any():
            return self._base
        base = self._base.arrays
        shift = self._overall.shift(np.zeros((1, len(touched))))
        quality = _bounded(base["quality_mean"] + shift[0])
        error = self._overall.error(_exact(base["quality_error"])[None], quality[None])[0]
        ratio = self._overall.cost_ratio(_positive(base["cost_mean"])[None], np.ones((1, len(touched))))
        learned: dict[str, _Matrix] = {
            "quality_mean": quality,
            "quality_error": error,
            "cost_mean": _positive(base["cost_mean"]) * ratio[0],
            "cost_ratio": base["cost_ratio"] * ratio[0],
            **self._group_means("class", self._classes, shift, error, ratio),
            **self._group_means("cluster", self._clusters, shift, error, ratio),
        }
        changed = {name: np.where(touched, value, base[name]).astype(np.float32) for name, value in learned.items()}
        cold = tuple(model for model in self._base.cold_models if not touched[self._place[model]])
        return replace(self._base, cold_models=cold, arrays={**base, **changed})

    def _group_means(
        self, kind: str, evidence: Evidence, shift: _Matrix, error: _Matrix, ratio: _Matrix
    ) -> dict[str, _Matrix]:
        base = self._base.arrays
        cost = _positive(base[f"{kind}_cost"])
        quality = _bounded(base[f"{kind}_quality"] + evidence.shift(shift))
        return {
            f"{kind}_quality": quality,
            # As in fitting: no group is known better than the model as a whole.
            f"{kind}_error": np.maximum(evidence.error(_exact(base[f"{kind}_error"]), quality), error),
            f"{kind}_cost": cost * evidence.cost_ratio(cost, ratio),
        }

    def _take(self, lesson: Lesson, place: int) -> None:
        expected = self._expectation(lesson.features)
        weight = min(1.0 / max(lesson.propensity, 1e-9), self._settings.max_weight)
        groups = (
            (self._overall, np.ones(1)),
            (self._classes, expected.classes),
            (self._clusters, expected.clusters),
        )
        self._learned += 1
        self._since += 1
        if lesson.previous is not None:
            if self._overall.touched[place]:
                for evidence, share in groups:
                    evidence.correct(share, place, weight, lesson.score - lesson.previous)
            return
        surplus = lesson.score - float(expected.quality[place])
        expected_usd = max(float(expected.cost_usd[place]), _LEAST_COST_USD)
        for evidence, share in groups:
            evidence.add(share, place, weight, surplus=surplus, paid_usd=lesson.cost_usd, expected_usd=expected_usd)

    def _expectation(self, features: bytes) -> _Expectation:
        try:
            heads = self._engine.heads_of_recorded(decode_features(features))
        except DataError:
            return self._unknown
        if heads is None:
            return self._unknown
        prediction = self._engine.predictor.from_heads(heads)
        classes, clusters = self._engine.predictor.memberships(heads)
        return _Expectation(prediction.quality, prediction.cost_usd, _exact(classes), _exact(clusters))


def _base_queries(base: Snapshot, queries: float) -> _Matrix:
    """How many outcomes the base counts as, by model: float64[1, M]."""
    is_cold = np.array([model in base.cold_models for model in base.models])
    return np.where(is_cold, min(_COLD_QUERIES, queries), queries)[None].astype(np.float64)


def _group_queries(base: Snapshot, overall: _Matrix, kind: str) -> _Matrix:
    """The same for classes or clusters: the group's share of the model's queries, as the standard errors tell it.

    `fitting` makes the error e of a mean q of n queries as e^2 = q (1 - q) / n + 1 / (4 n^2), and that of a group
    without the last term.
    """
    arrays = base.arrays
    quality, error = _exact(arrays["quality_mean"]), _exact(arrays["quality_error"])
    variance, squared = quality * (1 - quality), np.maximum(error, 1e-6) ** 2
    queries = (variance + np.sqrt(variance**2 + squared)) / (2 * squared)
    mean = _exact(arrays[f"{kind}_quality"])
    spread = np.maximum(mean * (1 - mean), _LEAST_VARIANCE)
    of_group = spread / np.maximum(_exact(arrays[f"{kind}_error"]), 1e-6) ** 2
    shared: _Matrix = overall * np.clip(of_group / queries, 1e-3, 1.0)
    return shared


def _bounded(quality: _Matrix) -> _Matrix:
    return np.clip(quality, 0.0, 1.0)


def _positive(cost_usd: Array) -> _Matrix:
    return np.maximum(_exact(cost_usd), _LEAST_COST_USD)


def _exact(array: Array) -> _Matrix:
    """Sums of thousands of outcomes are kept in double precision."""
    return array.astype(np.float64)
