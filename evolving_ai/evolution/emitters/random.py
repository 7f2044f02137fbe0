"""Blind sampling: the control arm, and a source of diversity."""

from typing import TYPE_CHECKING

from evolving_ai.evolution.population import Population
from evolving_ai.evolution.ports import Outcome, Proposal

if TYPE_CHECKING:
    import numpy as np

__all__ = ["RandomEmitter"]


class RandomEmitter:
    """Draws every free gene anew; learns nothing."""

    name = "random"

    def ask(self, population: Population, rng: "np.random.Generator") -> Proposal | None:
        values = population.space.sample_all(population.incumbent, rng)
        return Proposal(values=values, parents=(), operator="sample")

    def tell(self, proposal: Proposal, outcome: Outcome) -> None:
        """Nothing to learn."""
