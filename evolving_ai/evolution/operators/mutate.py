"""Mutation of mixed genomes: some genes, each changed as its type asks."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from evolving_ai.domain.genes import ChoiceGene, FloatGene, Gene, GeneValue, TextGene
from evolving_ai.evolution.free_space import FreeSpace, NumberGene, from_unit, to_unit

if TYPE_CHECKING:
    import numpy as np

__all__ = ["mutate", "nudge"]

_ONE_GENE = 0.65
"""The chance that no further gene is changed: 1.5 genes on average."""
_SMALLEST_STEP, _LARGEST_STEP = 0.01, 0.3
"""Standard deviations of a number's step in unit coordinates; drawn log-uniformly, so small and large are tried."""


def mutate(space: FreeSpace, genes: Mapping[str, GeneValue], rng: "np.random.Generator") -> dict[str, GeneValue]:
    """A copy of `genes` with 1 + geometrically many free genes changed.

    A gene that becomes active takes its default or, half of the time, a random value.
    """
    active = space.active(genes)
    if not active:
        return dict(genes)
    count = min(len(active), int(rng.geometric(_ONE_GENE)))
    chosen = [active[int(position)] for position in rng.permutation(len(active))[:count]]
    child = dict(genes)
    for gene in chosen:
        child[gene.name] = _changed(gene, genes[gene.name], rng)
    return _awaken(space, genes, space.repair(child), rng)


def nudge(gene: NumberGene, value: GeneValue, step: float) -> float | int:
    """A number moved by `step` in unit coordinates, reflected at its ends; a whole number moves by at least 1."""
    moved = from_unit(gene, _reflected(to_unit(gene, value) + step))
    if isinstance(gene, FloatGene) or moved != value:
        return moved
    beside = round(moved) + (1 if step > 0 else -1)
    return beside if gene.low <= beside <= gene.high else 2 * round(moved) - beside


def _changed(gene: Gene, value: GeneValue, rng: "np.random.Generator") -> GeneValue:
    if isinstance(gene, ChoiceGene):
        others = [choice for choice in gene.choices if choice != value]
        return others[int(rng.integers(len(others)))]
    if isinstance(gene, TextGene):
        return value  # never free
    scale = math.exp(rng.uniform(math.log(_SMALLEST_STEP), math.log(_LARGEST_STEP)))
    return nudge(gene, value, float(scale * rng.standard_normal()))


def _awaken(
    space: FreeSpace, before: Mapping[str, GeneValue], after: dict[str, GeneValue], rng: "np.random.Generator"
) -> dict[str, GeneValue]:
    new = [gene for gene in space.active(after) if gene.name not in before]
    drawn = {gene.name: space.sample(gene, rng) for gene in new if rng.random() < 0.5}
    return space.repair({**after, **drawn}) if drawn else after


def _reflected(unit: float) -> float:
    folded = math.fmod(abs(unit), 2.0)
    return 2.0 - folded if folded > 1.0 else folded
