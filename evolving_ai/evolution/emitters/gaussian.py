"""Gaussian steps of all numbers of one parent, with a step size that adapts itself."""

import math
from typing import TYPE_CHECKING

from evolving_ai.evolution.operators.mutate import nudge
from evolving_ai.evolution.population import Population
from evolving_ai.evolution.ports import Outcome, Proposal

if TYPE_CHECKING:
    import numpy as np

__all__ = ["GaussianEmitter"]

_SMALLEST, _LARGEST = 1e-4, 0.5
_SPREAD = 0.5
"""Each proposal's own step is the common one times exp(0.5 N(0, 1)), so that other sizes are tried all the time."""
_UP = 0.2
_DOWN = _UP / 4.0
"""A success raises the step's logarithm by 0.2, a failure lowers it by a quarter of that: stable at 1/5 success."""


class GaussianEmitter:
    """Moves every free number in unit coordinates (a random half of them when there are more than two).

    The step follows the 1/5 success rule (Rechenberg 1973) and the sizes that succeeded. Success: the child entered
    the archive.
    """

    name = "gaussian"

    def __init__(self, step: float = 0.15) -> None:
        self._log_step = math.log(step)

    @property
    def step(self) -> float:
        """The common standard deviation in unit coordinates."""
        return math.exp(self._log_step)

    def ask(self, population: Population, rng: "np.random.Generator") -> Proposal | None:
        parent = population.select(rng)
        genes = population.genes(parent)
        numbers = population.space.numbers(genes)
        if not numbers:
            return None
        if len(numbers) > 2:
            moved = [gene for gene in numbers if rng.random() < 0.5]
            numbers = moved or [numbers[int(rng.integers(len(numbers)))]]
        step = math.exp(self._log_step + _SPREAD * float(rng.standard_normal()))
        child = dict(genes)
        for gene in numbers:
            child[gene.name] = nudge(gene, genes[gene.name], step * float(rng.standard_normal()))
        return Proposal(population.space.repair(child), parents=(parent,), operator="gaussian", note=math.log(step))

    def tell(self, proposal: Proposal, outcome: Outcome) -> None:
        if outcome.entered and isinstance(proposal.note, float):
            self._log_step += _UP + 0.3 * (proposal.note - self._log_step)
        else:
            self._log_step -= _DOWN
        self._log_step = min(math.log(_LARGEST), max(math.log(_SMALLEST), self._log_step))
