"""Safety score: how little of what may evolve a change touches."""

import math
from collections.abc import Iterable

from evolving_ai.domain.genes import FloatGene, Gene, GeneValue, IntGene, SearchSpace
from evolving_ai.domain.mutation import Change

__all__ = ["safety_score"]


def safety_score(changes: Iterable[Change], space: SearchSpace) -> float:
    """1 (nothing moved) to 0 (every gene of `space` moved across its whole range); see `Mutation.safety_score`.

    A number moves by its share of the legal range (of the range's logarithm for a `log` gene); a choice, a text and
    a gene that appears or vanishes move by 1. Genes outside `space` do not count: nothing reads them.
    """
    moved = sum(_distance(space.gene(change.gene), change) for change in changes if change.gene in space)
    return max(0.0, 1.0 - moved / max(1, len(space)))


def _distance(gene: Gene, change: Change) -> float:
    if isinstance(gene, FloatGene | IntGene) and _is_legal(gene, change.before) and _is_legal(gene, change.after):
        before, after = _position(gene, change.before), _position(gene, change.after)
        return abs(after - before)
    return 1.0


def _is_legal(gene: FloatGene | IntGene, value: GeneValue | None) -> bool:
    # A value from a release with another range has no place in this one.
    return isinstance(value, int | float) and gene.low <= value <= gene.high


def _position(gene: FloatGene | IntGene, value: GeneValue | None) -> float:
    """Where `value` lies in the legal range, 0 to 1."""
    number = float(value or 0)
    if gene.log:
        return (math.log(number) - math.log(gene.low)) / (math.log(gene.high) - math.log(gene.low))
    return (number - gene.low) / (gene.high - gene.low)
