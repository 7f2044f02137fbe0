"""Crossover of mixed genomes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from evolving_ai.domain.genes import FloatGene, GeneValue, IntGene
from evolving_ai.evolution.free_space import FreeSpace, from_unit, to_unit

if TYPE_CHECKING:
    import numpy as np

__all__ = ["blend_cross", "uniform_cross"]

_OVERSHOOT = 0.25
"""How far beyond its parents a blended number may lie, in shares of their distance."""


def uniform_cross(
    space: FreeSpace, one: Mapping[str, GeneValue], other: Mapping[str, GeneValue], rng: "np.random.Generator"
) -> dict[str, GeneValue]:
    """Each free gene from either parent (Syswerda 1989); what is not free comes from `one`.

    A conditional gene that only one parent has comes from that parent when the child has it.
    """
    child = {**{gene.name: other[gene.name] for gene in space.active(other)}, **one}
    for gene in space.active(other):
        if gene.name in one and rng.random() < 0.5:
            child[gene.name] = other[gene.name]
    return space.repair(child)


def blend_cross(
    space: FreeSpace, one: Mapping[str, GeneValue], other: Mapping[str, GeneValue], rng: "np.random.Generator"
) -> dict[str, GeneValue]:
    """As `uniform_cross`, but numbers are drawn between the parents and a little beyond (BLX-alpha, Eshelman 1993)."""
    child = uniform_cross(space, one, other, rng)
    blended = dict(child)
    for gene in space.active(child):
        if isinstance(gene, FloatGene | IntGene) and gene.name in one and gene.name in other:
            start, end = to_unit(gene, one[gene.name]), to_unit(gene, other[gene.name])
            share = rng.uniform(-_OVERSHOOT, 1.0 + _OVERSHOOT)
            blended[gene.name] = from_unit(gene, start + share * (end - start))
    return space.repair(blended)
