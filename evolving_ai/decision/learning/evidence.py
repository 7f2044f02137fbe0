"""Weighted sums over outcomes, by group and model, beside what was believed before: what posterior means are made of.

All quality is kept as the difference from what the base snapshot predicted for the very request: a month of hard
requests does not make a model look worse. Costs are kept as what was paid and what was expected; their quotient
corrects means and linear models alike.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["Evidence"]

_Matrix = NDArray[np.float64]
_LEAST_VARIANCE = 0.01  # of a score: no group is known better than that, as in `fitting`


class Evidence:
    """Evidence about `groups` x `models`, float64[G, M]; the base counts as `base_queries` outcomes of each cell.

    Each outcome makes older ones of its model count `forgetting` times as much (1: nothing is forgotten), the base
    among them, in proportion to how much it belongs to the group.
    """

    def __init__(self, base_queries: _Matrix, *, forgetting: float) -> None:
        self._forgetting = forgetting
        self._base = base_queries.copy()
        shape = base_queries.shape
        self._weight = np.zeros(shape)
        self._squares = np.zeros(shape)
        self._surplus = np.zeros(shape)
        self._paid = np.zeros(shape)
        self._expected = np.zeros(shape)

    def add(
        self, share: _Matrix, model: int, weight: float, *, surplus: float, paid_usd: float, expected_usd: float
    ) -> None:
        """An outcome: `share` float64[G] says how much it belongs to each group, `surplus` is score less prediction."""
        kept = self._forgetting**share
        part = weight * share
        for sums, increment in (
            (self._base, 0.0),
            (self._weight, part),
            (self._squares, weight * part),
            (self._surplus, part * surplus),
            (self._paid, part * paid_usd),
            (self._expected, part * expected_usd),
        ):
            sums[:, model] *= kept
            sums[:, model] += increment

    def correct(self, share: _Matrix, model: int, weight: float, change: float) -> None:
        """The score of an outcome that was added before is another one by `change`."""
        self._surplus[:, model] += weight * share * change

    @property
    def touched(self) -> NDArray[np.bool_]:
        """The models about which there is evidence in any group: bool[M]."""
        return np.asarray((self._weight > 0).any(axis=0), np.bool_)

    def shift(self, prior: _Matrix) -> _Matrix:
        """Posterior mean of score less prediction, float64[G, M], where `prior` is its mean before the evidence."""
        size, unit = self._size()
        shifted: _Matrix = (self._base * prior + unit * self._surplus) / (self._base + size)
        return shifted

    def error(self, base_error: _Matrix, quality: _Matrix) -> _Matrix:
        """Standard error of the posterior mean, from that of the base and the variance of scores around `quality`."""
        size, _ = self._size()
        variance = np.maximum(quality * (1 - quality), _LEAST_VARIANCE)
        posterior: _Matrix = np.sqrt((self._base * base_error) ** 2 + variance * size) / (self._base + size)
        return posterior

    def cost_ratio(self, base_cost: _Matrix, prior: _Matrix) -> _Matrix:
        """By how much costs are to be multiplied, float64[G, M]: what was paid over what was expected.

        The base counts as outcomes that cost `base_cost` (above 0) times `prior`.
        """
        _, unit = self._size()
        expected = self._base * base_cost
        ratio: _Matrix = (expected * prior + unit * self._paid) / (expected + unit * self._expected)
        return ratio

    def _size(self) -> tuple[_Matrix, _Matrix]:
        """The effective number of outcomes in each cell (Kish 1965), and the factor that brings the sums to it.

        Equal weights, however large, count as so many outcomes; unequal ones as fewer.
        """
        unit = np.divide(self._weight, self._squares, out=np.zeros_like(self._weight), where=self._squares > 0)
        return unit * self._weight, unit
