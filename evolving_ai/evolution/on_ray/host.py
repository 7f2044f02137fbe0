"""What runs inside an evaluator actor: a plain object, so it is tested without a cluster."""

from collections.abc import Sequence

from evolving_ai._common.clock import SystemClock
from evolving_ai.domain.dna import Genome
from evolving_ai.domain.fitness import Evaluation, Objective
from evolving_ai.errors import EvaluationError
from evolving_ai.evolution.evaluation import evaluate
from evolving_ai.evolution.ports import Evaluator, EvaluatorFactory

__all__ = ["EvaluatorHost"]


class EvaluatorHost:
    """One evaluator and its clock. `build` comes first: in the constructor an error would be reported without text."""

    def __init__(self) -> None:
        self._evaluator: Evaluator | None = None
        self._clock = SystemClock()

    def build(self, factory: EvaluatorFactory) -> tuple[Objective, ...]:
        """Make the evaluator; its objectives."""
        self._evaluator = factory()
        return self._evaluator.objectives

    def evaluate(self, batch: Sequence[tuple[int, Genome]]) -> list[tuple[int, Evaluation]]:
        """Score a few candidates, one after the other."""
        if self._evaluator is None:
            raise EvaluationError("the evaluator is not built: call build first")
        return [(index, evaluate(self._evaluator, genome, self._clock)) for index, genome in batch]
