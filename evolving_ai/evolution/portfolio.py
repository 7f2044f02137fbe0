"""The portfolio: a bandit that shares the evaluations among the emitters by what they gain."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from evolving_ai.evolution.ports import Emitter

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Portfolio"]

_MEMORY = 0.985
"""What is left of an observation's weight after each further one: about 65 evaluations count."""
_NEWEST = 0.05
"""The weight of the newest improvement in the mean that others are measured by."""
_EXPLORATION = 0.04
"""The share of candidates whose emitter is drawn evenly, so that no arm is forgotten."""
_PRIOR = {"random": (0.2, 3.0)}
"""Beta priors (successes, failures): blind sampling has to earn its share, the others start even."""
_EVEN_PRIOR = (1.0, 1.0)


class Portfolio:
    """Discounted Thompson sampling over emitters.

    Reward: the archive improvement of one evaluation, squashed to [0, 1] by the mean of recent improvements, told as
    a fractional success (Agrawal, Goyal: Analysis of Thompson Sampling, COLT 2012; discounting as in Raj, Kalyani:
    Taming Non-stationary Bandits, 2017).
    """

    def __init__(self, emitters: Sequence[Emitter]) -> None:
        self._emitters = tuple(emitters)
        self._wins = [0.0] * len(self._emitters)
        self._losses = [0.0] * len(self._emitters)
        self._usual_gain: float | None = None

    def ranked(self, rng: "np.random.Generator") -> Iterator[Emitter]:
        """The emitters in the order in which they may try to propose the next candidate."""
        if rng.random() < _EXPLORATION:
            order = [int(position) for position in rng.permutation(len(self._emitters))]
        else:
            draws = [float(rng.beta(*self._belief(position))) for position in range(len(self._emitters))]
            order = sorted(range(len(draws)), key=lambda position: (-draws[position], position))
        return (self._emitters[position] for position in order)

    def _belief(self, position: int) -> tuple[float, float]:
        wins, losses = _PRIOR.get(self._emitters[position].name, _EVEN_PRIOR)
        return wins + self._wins[position], losses + self._losses[position]

    def reward(self, name: str, gain: float) -> None:
        """An evaluation of emitter `name` improved the archive by `gain` >= 0."""
        reward = self._squashed(gain)
        for position, emitter in enumerate(self._emitters):
            self._wins[position] *= _MEMORY
            self._losses[position] *= _MEMORY
            if emitter.name == name:
                self._wins[position] += reward
                self._losses[position] += 1.0 - reward

    def _squashed(self, gain: float) -> float:
        if gain <= 0.0:
            return 0.0
        usual = gain if self._usual_gain is None else self._usual_gain + _NEWEST * (gain - self._usual_gain)
        self._usual_gain = usual
        return gain / (gain + usual)
