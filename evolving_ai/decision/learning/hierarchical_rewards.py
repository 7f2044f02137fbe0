"""A Gaussian belief about every model's reward, shared between models and between contexts.

The reward of model m on a request is a sum of effects: of the pool (how hard the request's contexts are for every
model) and of the model (what it adds there), each over the levels of the request: overall, then each context column
from coarse to fine, then a few dimensions of its text. All effects are jointly Gaussian with known prior variances, so
the posterior is exact Bayesian linear regression (Bishop 2006, section 3.3), updated by one rank-one step for each
outcome. Sharing the pool's effects is what makes outcomes of different models on different requests comparable.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["EffectLevel", "HierarchicalRewards", "Observation"]

_POOL = -1


@dataclass(frozen=True, slots=True)
class EffectLevel:
    """One place where effects live: a key, the value that multiplies the effect, and prior standard deviations."""

    key: Hashable
    value: float
    pool_spread: float
    model_spread: float


@dataclass(frozen=True, slots=True)
class Observation:
    """The belief about all models on one request: mean float64[M] and covariance float64[M, M]."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    places: NDArray[np.intp]
    values: NDArray[np.float64]


class HierarchicalRewards:
    """The posterior over all effects seen so far; effects are added when first met, up to `max_effects`.

    Beyond that number new contexts are ignored: their requests are judged by the coarser levels.
    """

    def __init__(self, models: int, *, noise: float, max_effects: int = 1500) -> None:
        self._models = models
        self._noise_variance = noise**2
        self._max_effects = max_effects
        self._place: dict[tuple[Hashable, int], int] = {}
        self._mean = np.zeros(64)
        self._covariance = np.zeros((64, 64))

    def look(self, levels: Sequence[EffectLevel]) -> Observation:
        """The belief about every model on a request with these levels."""
        known = [level for level in levels if self._admit(level)]
        places = np.array([self._row(known, model) for model in range(self._models)], np.intp)
        values = np.array([level.value for level in known for _ in range(2)])
        mean = self._mean[places] @ values
        # design[i, m]: how effect i (of those that play a part here) enters the reward of model m
        involved, position = np.unique(places, return_inverse=True)
        design = np.zeros((len(involved), self._models))
        design[position.reshape(places.shape), np.arange(self._models)[:, None]] = values
        covariance = design.T @ self._covariance[np.ix_(involved, involved)] @ design
        return Observation(mean, covariance, places, values)

    def _row(self, levels: Sequence[EffectLevel], model: int) -> list[int]:
        return [self._place[level.key, owner] for level in levels for owner in (_POOL, model)]

    def _admit(self, level: EffectLevel) -> bool:
        """Whether the level's effects exist, adding them when there is room."""
        if (level.key, _POOL) in self._place:
            return True
        if len(self._place) + self._models + 1 > self._max_effects:
            return False
        self._add(level.key, _POOL, level.pool_spread)
        for model in range(self._models):
            self._add(level.key, model, level.model_spread)
        return True

    def _add(self, key: Hashable, owner: int, spread: float) -> None:
        place = len(self._place)
        if place == len(self._mean):
            self._mean = np.concatenate([self._mean, np.zeros(place)])
            grown = np.zeros((2 * place, 2 * place))
            grown[:place, :place] = self._covariance
            self._covariance = grown
        self._place[key, owner] = place
        self._covariance[place, place] = spread**2

    def learn(self, observation: Observation, model: int, reward: float) -> None:
        """Update with the reward that `model` earned on the request of `observation`."""
        size = len(self._place)
        places, values = observation.places[model], observation.values
        direction = self._covariance[:size, places] @ values
        predicted = float(self._mean[places] @ values)
        variance = float(direction[places] @ values) + self._noise_variance
        self._mean[:size] += direction * ((reward - predicted) / variance)
        self._covariance[:size, :size] -= np.outer(direction / variance, direction)
