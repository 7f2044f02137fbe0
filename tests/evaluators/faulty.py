"""An evaluator that misbehaves on purpose: what a campaign must live through, for tests and chaos drills."""

import os
import threading
from dataclasses import dataclass

from evolving_ai.domain.dna import Genome
from evolving_ai.domain.fitness import Evaluation, Objective, Score
from evolving_ai.domain.genes import ChoiceGene, IntGene, SearchSpace

__all__ = ["Faulty"]

_EXIT_CODE = 3


@dataclass(frozen=True)
class Faulty:
    """The score is the gene `value`; the gene `behaviour` says whether evaluation raises, hangs or ends its process.

    Never evaluate `hangs` or `exits` in a process that should go on.
    """

    behaviours: tuple[str, ...] = ("good", "raises", "hangs", "exits")

    @property
    def objectives(self) -> tuple[Objective, ...]:
        return (Objective("value", "maximize"),)

    @property
    def space(self) -> SearchSpace:
        return SearchSpace(
            [
                ChoiceGene(name="behaviour", component="faulty", choices=self.behaviours, default=self.behaviours[0]),
                IntGene(name="value", component="faulty", low=0, high=999, default=0),
            ]
        )

    def evaluate(self, genome: Genome) -> Evaluation:
        behaviour = genome.genes["behaviour"]
        if behaviour == "raises":
            raise ValueError(f"value {genome.genes['value']} was asked to fail")
        if behaviour == "hangs":
            threading.Event().wait()
        if behaviour == "exits":
            os._exit(_EXIT_CODE)
        return Evaluation(scores={"value": Score(float(genome.genes["value"]))})
