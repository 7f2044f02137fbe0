"""The part of a search space that a campaign may change, and coordinates in it.

Numbers are moved in unit coordinates: 0 is a gene's low end, 1 its high end, on a log scale where the gene asks so.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from evolving_ai.domain.genes import ChoiceGene, FloatGene, Gene, GeneValue, IntGene, SearchSpace, TextGene
from evolving_ai.domain.mutation import Mutation, changes_between
from evolving_ai.domain.safety import safety_score

if TYPE_CHECKING:
    import numpy as np

__all__ = ["FreeSpace", "NumberGene", "from_unit", "to_unit"]

NumberGene: TypeAlias = FloatGene | IntGene


def to_unit(gene: NumberGene, value: GeneValue) -> float:
    """The unit coordinate of a legal value."""
    number = float(value)
    if gene.log:
        return math.log(number / gene.low) / math.log(gene.high / gene.low)
    return (number - gene.low) / (gene.high - gene.low)


def from_unit(gene: NumberGene, unit: float) -> float | int:
    """The legal value at a unit coordinate; beyond the ends, the end; whole numbers are rounded."""
    clipped = min(1.0, max(0.0, unit))
    low, high = float(gene.low), float(gene.high)
    number = low * math.pow(high / low, clipped) if gene.log else low + clipped * (high - low)
    number = min(high, max(low, number))
    return round(number) if isinstance(gene, IntGene) else number


class FreeSpace:
    """A search space with some genes free and the others held.

    Free genes are those named by `free` (all when empty) that are neither text (only a language model can write that)
    nor forced by `fixed`.
    """

    def __init__(self, space: SearchSpace, free: Sequence[str], fixed: Mapping[str, GeneValue]) -> None:
        named = {gene.name for gene in (space.only(free) if free else space)}
        self._space = space
        self._fixed = dict(fixed)
        self._free = {
            gene.name
            for gene in space
            if gene.name in named and gene.name not in self._fixed and not isinstance(gene, TextGene)
        }

    def __len__(self) -> int:
        return len(self._free)

    def active(self, values: Mapping[str, GeneValue]) -> list[Gene]:
        """The free genes that exist under `values`, in the space's order."""
        return [gene for gene in self._space if gene.name in values and gene.name in self._free]

    def numbers(self, values: Mapping[str, GeneValue]) -> list[NumberGene]:
        """The free genes under `values` that are numbers."""
        return [gene for gene in self.active(values) if isinstance(gene, FloatGene | IntGene)]

    def repair(self, values: Mapping[str, GeneValue]) -> dict[str, GeneValue]:
        """A legal genome's genes: forced genes forced, inactive ones dropped, missing ones at their defaults."""
        known = {name: value for name, value in values.items() if name in self._space}
        return self._space.complete({**known, **self._fixed})

    def sample(self, gene: Gene, rng: "np.random.Generator") -> GeneValue:
        """A legal value of a free gene, uniform over its choices or its unit coordinate."""
        if isinstance(gene, ChoiceGene):
            return gene.choices[int(rng.integers(len(gene.choices)))]
        if isinstance(gene, IntGene) and not gene.log:
            return int(rng.integers(gene.low, gene.high + 1))
        if isinstance(gene, TextGene):
            return gene.default  # never free
        return from_unit(gene, float(rng.random()))

    def sample_all(self, held: Mapping[str, GeneValue], rng: "np.random.Generator") -> dict[str, GeneValue]:
        """A genome with every free gene drawn anew, the others as in `held`."""
        drawn = {gene.name: self.sample(gene, rng) for gene in self._space if gene.name in self._free}
        return self.repair({**held, **drawn})

    def enumerate(self, held: Mapping[str, GeneValue]) -> Iterator[dict[str, GeneValue]]:
        """Every genome there is with the genes that are not free as in `held`, in a fixed order.

        Nothing when a number with a fraction is free: then there is no end to them.
        """
        free = [gene for gene in self._space if gene.name in self._free]
        if any(isinstance(gene, FloatGene) for gene in free):
            return
        seen: set[tuple[tuple[str, GeneValue], ...]] = set()
        for combination in itertools.product(*(_values(gene) for gene in free)):
            genes = self.repair({**held, **{gene.name: value for gene, value in zip(free, combination, strict=True)}})
            key = tuple(genes.items())
            if key not in seen:
                seen.add(key)
                yield genes

    def mutation(
        self, mutation_id: str, operator: str, before: Mapping[str, GeneValue], after: Mapping[str, GeneValue]
    ) -> Mutation:
        """The typed change between two genomes, scored by how much of the whole space it moves."""
        changes = changes_between(before, after)
        components = sorted({self._space.component_of(change.gene) for change in changes})
        return Mutation(
            id=mutation_id,
            type=operator,
            target_components=tuple(components),
            changes=changes,
            safety_score=safety_score(changes, self._space),
        )


def _values(gene: Gene) -> Sequence[GeneValue]:
    if isinstance(gene, IntGene):
        return range(gene.low, gene.high + 1)
    return gene.choices if isinstance(gene, ChoiceGene) else (gene.default,)
