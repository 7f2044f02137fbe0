"""Crossover between two members of the front."""

from typing import TYPE_CHECKING

from evolving_ai.evolution.operators.cross import blend_cross, uniform_cross
from evolving_ai.evolution.operators.mutate import mutate
from evolving_ai.evolution.population import Population
from evolving_ai.evolution.ports import Outcome, Proposal

if TYPE_CHECKING:
    import numpy as np

__all__ = ["CrossoverEmitter"]

_ALSO_MUTATED = 0.25


class CrossoverEmitter:
    """Uniform or blend crossover, half of the time each; a quarter of the children are mutated as well."""

    name = "crossover"

    def ask(self, population: Population, rng: "np.random.Generator") -> Proposal | None:
        pair = population.select_two(rng)
        if pair is None:
            return None
        cross, operator = (uniform_cross, "uniform_cross") if rng.random() < 0.5 else (blend_cross, "blend_cross")
        one, other = population.genes(pair[0]), population.genes(pair[1])
        values = cross(population.space, one, other, rng)
        if rng.random() < _ALSO_MUTATED:
            values, operator = mutate(population.space, values, rng), f"{operator}_mutate"
        return Proposal(values=values, parents=pair, operator=operator)

    def tell(self, proposal: Proposal, outcome: Outcome) -> None:
        """Nothing to learn."""
