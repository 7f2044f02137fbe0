"""A router that learns while it serves: it is told the outcome of its own choices and of nothing else.

Choices are made by Thompson sampling (Thompson 1933): a model is chosen with the probability that it is best under
the current belief, narrowed by the gene `explore.spread`. That probability is estimated by sampling and then used as
is, so the propensity reported with a choice is exact.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evolving_ai._common.rng import derive_rng
from evolving_ai.decision.engine import DecisionEngine
from evolving_ai.decision.features import FeatureConfig, RequestView, TextHasher
from evolving_ai.decision.learning.hierarchical_rewards import EffectLevel, HierarchicalRewards, Observation
from evolving_ai.domain.genes import GeneValue

__all__ = ["Choice", "StreamLearner"]

_DRAWS = 128
_NOISE = 0.45  # standard deviation of a score that is mostly 0 or 1
_PRIOR_REWARD = 0.5
_TEXT_DIMENSIONS = 24
_PRIOR_COST_QUERIES = 3.0


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice: the model's place in the pool, its propensity, and what is needed to learn from the outcome."""

    model: int
    propensity: float
    belief: Observation
    offset: NDArray[np.float64]
    context_key: str


class StreamLearner:
    """Chooses among `models` and learns. With `prior`, a fitted engine, it learns only what that leaves unexplained.

    Deterministic given the generator and the sequence of calls.
    """

    def __init__(
        self,
        models: Sequence[str],
        genes: Mapping[str, GeneValue],
        rng: np.random.Generator,
        *,
        prior: DecisionEngine | None = None,
    ) -> None:
        self._models = tuple(models)
        self._genes = genes
        self._rng = rng
        self._prior = prior
        self._hasher = TextHasher(FeatureConfig.from_genes(genes))
        self._projection = _projection(self._hasher.config.buckets)
        self._scale = 1.0 / float(genes["explore.prior_queries"]) ** 0.5
        self._rewards = HierarchicalRewards(len(models), noise=_NOISE)
        self._costs = _RunningCosts(len(models))

    def choose(self, request: RequestView, available: NDArray[np.bool_], *, cost_weight: float | None = None) -> Choice:
        """Choose one of the available models; `cost_weight` overrides the gene (infinite: the cheapest)."""
        belief = self._rewards.look(self._levels(request))
        offset, prior_cost = self._prior_belief(request)
        context_key = "\x1f".join((request.context or {}).values())
        relative_cost = self._costs.relative(context_key, prior_cost)
        weight = float(self._genes["score.cost_weight"]) if cost_weight is None else cost_weight
        draws = self._draw(offset + belief.mean, belief.covariance)
        scores = -relative_cost + 0.0 * draws if np.isinf(weight) else draws - weight * relative_cost
        scores = np.where(available, scores, -np.inf)
        odds = np.bincount(scores.argmax(axis=1), minlength=len(self._models)) / len(scores)
        floor = float(self._genes["explore.floor"]) * available
        odds = odds * (1.0 - floor.sum()) + floor if floor.sum() < 1 else floor / floor.sum()
        model = int(self._rng.choice(len(odds), p=odds / odds.sum()))
        return Choice(model, float(odds[model]), belief, offset, context_key)

    def learn(self, choice: Choice, *, score: float, cost_usd: float) -> None:
        """Learn from the outcome of a choice: score 0 to 1, cost in USD."""
        self._rewards.learn(choice.belief, choice.model, score - float(choice.offset[choice.model]))
        self._costs.add(choice.context_key, choice.model, cost_usd)

    def _prior_belief(self, request: RequestView) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Expected reward and cost (USD; None: nothing is known) of each model before anything was learned here."""
        if self._prior is None:
            return np.full(len(self._models), _PRIOR_REWARD), None
        prediction = self._prior.predict(request)
        return np.asarray(prediction.quality, np.float64), np.asarray(prediction.cost_usd, np.float64)

    def _draw(self, mean: NDArray[np.float64], covariance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Samples of all models' rewards, float64[draws, M]."""
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0)) * float(self._genes["explore.spread"])
        sampled: NDArray[np.float64] = mean + self._rng.standard_normal((_DRAWS, len(mean))) @ root.T
        return sampled

    def _levels(self, request: RequestView) -> list[EffectLevel]:
        """Overall, then the context columns from coarse to fine; the text stands in where there is no context.

        The caller's context names what a request is, so beside it two dozen dimensions of text would be noise: on
        recorded coding tasks they cost about one point of mean score.
        """
        narrow = 2.0 * self._scale
        levels = [EffectLevel("overall", 1.0, 0.1 * narrow, 0.05 * narrow)]
        for depth, (name, value) in enumerate((request.context or {}).items(), start=1):
            spread = narrow * min(0.1 * depth, 0.3)
            levels.append(EffectLevel((name, value), 1.0, spread + 0.1 * narrow, spread))
        if request.context:
            return levels
        text = enumerate(self._text(request))
        return [*levels, *(EffectLevel(place, value, 0.2 * narrow, 0.15 * narrow) for place, value in text)]

    def _text(self, request: RequestView) -> list[float]:
        hashed, _ = self._hasher.extract(request)
        norm = float(np.sqrt(hashed @ hashed)) or 1.0
        projected: list[float] = (hashed @ self._projection / norm).tolist()
        return projected


class _RunningCosts:
    """Mean cost of each model by context, shrunk to its overall mean."""

    def __init__(self, models: int) -> None:
        self._models = models
        self._total = np.zeros(models)
        self._count = np.zeros(models)
        self._by_context: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}

    def add(self, context: str, model: int, cost_usd: float) -> None:
        total, count = self._by_context.setdefault(context, (np.zeros(self._models), np.zeros(self._models)))
        for sums, numbers in ((self._total, self._count), (total, count)):
            sums[model] += cost_usd
            numbers[model] += 1

    def relative(self, context: str, prior_usd: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """Expected cost of each model here over that of the dearest.

        Means here are shrunk to the model's overall mean, and that to the prior; without a prior, a model that was
        never chosen costs nothing yet.
        """
        start = np.zeros(self._models) if prior_usd is None else prior_usd
        weight = 0.0 if prior_usd is None else _PRIOR_COST_QUERIES
        overall = (self._total + weight * start) / np.maximum(self._count + weight, 1e-9)
        expected = overall
        if context in self._by_context:
            total, count = self._by_context[context]
            expected = (total + _PRIOR_COST_QUERIES * overall) / (count + _PRIOR_COST_QUERIES)
        return expected / max(float(overall.max()), 1e-12)


def _projection(buckets: int) -> NDArray[np.float32]:
    """Random signs (Achlioptas 2003), the same everywhere: float32[buckets, dimensions]."""
    signs = derive_rng(0, "text projection", buckets).integers(0, 2, (buckets, _TEXT_DIMENSIONS)) * 2 - 1
    projection: NDArray[np.float32] = (signs / np.sqrt(_TEXT_DIMENSIONS)).astype(np.float32)
    return projection
