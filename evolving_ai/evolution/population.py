"""What emitters see of a campaign: the front, the genomes behind it, the space that they may move in."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from evolving_ai.domain.genes import GeneValue
from evolving_ai.evolution.archives.pareto import ParetoArchive
from evolving_ai.evolution.free_space import FreeSpace

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Population"]


class Population:
    """The archive with the genes of its members; `genes_of` gives those of any candidate by its index."""

    def __init__(
        self, space: FreeSpace, archive: ParetoArchive, genes_of: Callable[[int], Mapping[str, GeneValue]]
    ) -> None:
        self.space = space
        self.archive = archive
        self._genes_of = genes_of

    @property
    def incumbent(self) -> Mapping[str, GeneValue]:
        """The genes of the first candidate."""
        return self._genes_of(0)

    def genes(self, index: int) -> Mapping[str, GeneValue]:
        """The genes of a candidate."""
        return self._genes_of(index)

    def select(self, rng: "np.random.Generator") -> int:
        """A parent: of two random members of the front the less crowded one; the incumbent while there is no front."""
        size = len(self.archive)
        if size == 0:
            return 0
        one, other = int(rng.integers(size)), int(rng.integers(size))
        crowding = self.archive.crowding()
        return self.archive.member(other if crowding[other] > crowding[one] else one).index

    def select_two(self, rng: "np.random.Generator") -> tuple[int, int] | None:
        """Two different members of the front; None while there are fewer."""
        size = len(self.archive)
        if size < 2:
            return None
        first = self.select(rng)
        others = [member.index for member in self.archive.members if member.index != first]
        return first, others[int(rng.integers(len(others)))]
