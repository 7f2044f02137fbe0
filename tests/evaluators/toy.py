"""Problems with known answers: for examples, benchmarks and tests of the search itself."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evolving_ai.domain.dna import Genome
from evolving_ai.domain.fitness import Evaluation, Objective, Score
from evolving_ai.domain.genes import ChoiceGene, Condition, FloatGene, IntGene, SearchSpace

__all__ = ["Menu", "MixedFront", "Zdt1"]


@dataclass(frozen=True)
class Menu:
    """`dishes` choices of `options` names each; the score is how many are right. One optimum, no hints."""

    dishes: int = 4
    options: int = 5

    @property
    def objectives(self) -> tuple[Objective, ...]:
        return (Objective("right", "maximize"),)

    @property
    def space(self) -> SearchSpace:
        names = tuple(f"option{number}" for number in range(self.options))
        return SearchSpace(
            ChoiceGene(name=f"dish{number}", component="menu", choices=names, default=names[0])
            for number in range(self.dishes)
        )

    def evaluate(self, genome: Genome) -> Evaluation:
        wanted = f"option{self.options - 1}"
        return Evaluation(scores={"right": Score(float(sum(value == wanted for value in genome.genes.values())))})


@dataclass(frozen=True)
class Zdt1:
    """ZDT1 (Zitzler, Deb, Thiele, Evolutionary Computation 8(2), 2000): front f2 = 1 - sqrt(f1), all but x0 at 0."""

    genes: int = 8

    @property
    def objectives(self) -> tuple[Objective, ...]:
        return (Objective("f1", "minimize"), Objective("f2", "minimize"))

    @property
    def space(self) -> SearchSpace:
        return SearchSpace(
            FloatGene(name=f"x{number}", component="zdt1", low=0.0, high=1.0, default=0.5)
            for number in range(self.genes)
        )

    def evaluate(self, genome: Genome) -> Evaluation:
        x = [float(genome.genes[f"x{number}"]) for number in range(self.genes)]
        g = 1.0 + 9.0 * sum(x[1:]) / (len(x) - 1)
        return Evaluation(scores={"f1": Score(x[0]), "f2": Score(g * (1.0 - math.sqrt(x[0] / g)))})


@dataclass(frozen=True)
class MixedFront:
    """A conditional, mixed space like a routing policy: maximise quality, minimise cost.

    `kind` switches between three models with genes of their own; each reaches another stretch of the front
    quality = sqrt(cost). What is not on the front loses quality by the squared distance of its other genes from
    their best values.
    """

    @property
    def objectives(self) -> tuple[Objective, ...]:
        return (Objective("quality", "maximize"), Objective("cost", "minimize"))

    @property
    def space(self) -> SearchSpace:
        def when(*kinds: str) -> Condition:
            return Condition("kind", kinds)

        return SearchSpace(
            [
                ChoiceGene(name="kind", component="model", choices=("small", "medium", "large"), default="small"),
                FloatGene(name="weight", component="score", low=0.0, high=1.0, default=0.5),
                FloatGene(name="scale", component="score", low=1e-3, high=1e3, default=1.0, log=True),
                IntGene(name="neighbours", component="knn", low=1, high=64, default=1, active_when=when("small")),
                FloatGene(name="decay", component="tree", low=0.0, high=1.0, default=0.0, active_when=when("medium")),
                ChoiceGene(
                    name="norm",
                    component="tree",
                    choices=("none", "l1", "l2", "max"),
                    default="none",
                    active_when=when("medium", "large"),
                ),
                IntGene(name="depth", component="net", low=1, high=12, default=1, active_when=when("large")),
                FloatGene(
                    name="rate", component="net", low=1e-5, high=1.0, default=1.0, log=True, active_when=when("large")
                ),
            ]
        )

    def evaluate(self, genome: Genome) -> Evaluation:
        genes = genome.genes
        weight = float(genes["weight"])
        stretch = ("small", "medium", "large").index(str(genes["kind"]))
        cost = (stretch + weight) / 3.0
        loss = sum(error * error for error in self._errors(genome))
        return Evaluation(scores={"quality": Score(math.sqrt(cost) - loss), "cost": Score(cost)})

    def _errors(self, genome: Genome) -> Sequence[float]:
        genes = genome.genes
        errors = [math.log10(float(genes["scale"]) / 20.0) / 3.0]
        if "neighbours" in genes:
            errors.append((float(genes["neighbours"]) - 23.0) / 64.0)
        if "decay" in genes:
            errors.append(float(genes["decay"]) - 0.7)
        if "norm" in genes:
            errors.append(0.0 if genes["norm"] == "l2" else 0.4)
        if "depth" in genes:
            errors.append((float(genes["depth"]) - 7.0) / 12.0)
        if "rate" in genes:
            errors.append(math.log10(float(genes["rate"]) / 3e-3) / 5.0)
        return errors
