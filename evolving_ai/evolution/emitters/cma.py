"""CMA-ES on the numbers of one parent (pycma), choices held, for one random weighting of the objectives at a time."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evolving_ai._common.rng import derive_rng
from evolving_ai.domain.genes import FloatGene, GeneValue, IntGene
from evolving_ai.evolution.free_space import from_unit, to_unit
from evolving_ai.evolution.population import Population
from evolving_ai.evolution.ports import Outcome, Proposal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["CmaEmitter"]

_START_STEP = 0.2
_MAX_GENERATIONS = 40
_WORST = 1e9
"""The cost of a failed candidate: it only has to rank last."""


@dataclasses.dataclass(frozen=True)
class _Note:
    run: int
    point: "NDArray[np.float64]"


class _Run:
    """One CMA-ES from one parent: pycma's strategy, the genes it moves, and the scale of its cost.

    The cost is the augmented Tchebycheff distance to the front's best values at the start of the run (Steuer, Choo
    1983): it reaches every point of a front, convex or not.
    """

    def __init__(self, population: Population, parent: int, weights: "NDArray[np.float64]", seed: int) -> None:
        import numpy as np

        self.parent = parent
        self.held: Mapping[str, GeneValue] = population.genes(parent)
        self.numbers: Sequence[FloatGene | IntGene] = population.space.numbers(self.held)
        self.weights = weights
        gains = population.archive.gains
        self.ideal = gains.max(axis=0) if len(gains) else np.zeros(len(weights))
        span = self.ideal - gains.min(axis=0) if len(gains) else np.zeros(len(weights))
        self.span = np.where(span > 0, span, 1.0)
        self.told: list[tuple[NDArray[np.float64], float]] = []
        self.generations = 0
        self.strategy = _strategy([to_unit(gene, self.held[gene.name]) for gene in self.numbers], self.numbers, seed)

    def cost(self, gains: tuple[float, ...] | None) -> float:
        import numpy as np

        if gains is None:
            return _WORST
        distance = self.weights * (self.ideal - np.asarray(gains)) / self.span
        return float(distance.max() + 0.05 * distance.sum())

    def ask(self) -> "NDArray[np.float64]":
        """A point; whole generations of results are told first, because pycma wants an ask between two tells."""
        import numpy as np

        size = self.strategy.popsize
        point = self.strategy.ask(1)[0]
        while len(self.told) >= size and not self.is_over():
            points, costs = zip(*self.told[:size], strict=True)
            self.told = self.told[size:]
            self.strategy.tell(list(points), list(costs))
            self.generations += 1
            point = self.strategy.ask(1)[0]
        return np.asarray(point, dtype=np.float64)

    def is_over(self) -> bool:
        return self.generations >= _MAX_GENERATIONS or bool(self.strategy.stop())


def _strategy(start: Sequence[float], numbers: Sequence[FloatGene | IntGene], seed: int) -> Any:
    """pycma in unit coordinates. It is given its own normal deviates, so numpy's global generator is not touched."""
    import cma
    import numpy as np

    rng = derive_rng(seed, "cma")
    # A whole number needs a step that can reach the next one, else its coordinate freezes.
    floors = [0.2 / (gene.high - gene.low) if isinstance(gene, IntGene) else 0.0 for gene in numbers]
    options = {
        "bounds": [0.0, 1.0],
        "minstd": floors,
        "randn": lambda *shape: rng.standard_normal(shape),
        "seed": np.nan,
        "tolfun": 1e-7,
        "tolx": 1e-5,
        "verbose": -9,
        "verb_log": 0,
        "verb_disp": 0,
    }
    return cma.CMAEvolutionStrategy(list(start), _START_STEP, options)


class CmaEmitter:
    """Samples one point at a time, and tells pycma a generation as soon as enough results are in.

    Late results of the same run are told with the generation that is then being filled (pycma takes them as injected
    solutions); results of a run that is over are dropped. A run starts at the front member that is best under its
    random weights and ends when pycma says so. Source: Hansen, The CMA Evolution Strategy: A Tutorial, 2016.
    """

    name = "cma"

    def __init__(self) -> None:
        self._run: _Run | None = None
        self._runs = 0

    def ask(self, population: Population, rng: "np.random.Generator") -> Proposal | None:
        if self._run is None or self._run.is_over():
            self._run = self._start(population, rng)
        run = self._run
        if run is None:
            return None
        point = run.ask()
        child = dict(run.held)
        for gene, unit in zip(run.numbers, point, strict=True):
            child[gene.name] = from_unit(gene, float(unit))
        note = _Note(run=self._runs, point=point)
        return Proposal(population.space.repair(child), parents=(run.parent,), operator="cma", note=note)

    def _start(self, population: Population, rng: "np.random.Generator") -> _Run | None:
        archive = population.archive
        if len(archive) == 0:
            return None
        weights = rng.dirichlet([1.0] * archive.gains.shape[1])
        low, high = archive.gains.min(axis=0), archive.gains.max(axis=0)
        distance = weights * (high - archive.gains) / [s if s > 0 else 1.0 for s in high - low]
        parent = archive.member(int(distance.max(axis=1).argmin())).index
        if len(population.space.numbers(population.genes(parent))) < 2:
            return None
        self._runs += 1
        return _Run(population, parent, weights, seed=int(rng.integers(2**31)))

    def tell(self, proposal: Proposal, outcome: Outcome) -> None:
        note = proposal.note
        if self._run is None or not isinstance(note, _Note) or note.run != self._runs:
            return
        if not self._run.is_over():
            self._run.told.append((note.point, self._run.cost(outcome.gains)))
