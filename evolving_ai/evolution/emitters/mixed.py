"""Mutation of a front member, whatever its genes' types: the (1+1)-like arm of the portfolio."""

from typing import TYPE_CHECKING

from evolving_ai.evolution.operators.mutate import mutate
from evolving_ai.evolution.population import Population
from evolving_ai.evolution.ports import Outcome, Proposal

if TYPE_CHECKING:
    import numpy as np

__all__ = ["MixedEmitter"]


class MixedEmitter:
    """Changes a few genes of one parent; keeps no state, so it is as good at the end as at the start."""

    name = "mixed"

    def ask(self, population: Population, rng: "np.random.Generator") -> Proposal | None:
        parent = population.select(rng)
        values = mutate(population.space, population.genes(parent), rng)
        return Proposal(values=values, parents=(parent,), operator="mutate")

    def tell(self, proposal: Proposal, outcome: Outcome) -> None:
        """Nothing to learn."""
