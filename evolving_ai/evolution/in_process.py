"""Evaluation in the caller's own thread: for cheap evaluators, tests, and machines without Ray."""

from collections import deque

from evolving_ai._common.clock import Clock
from evolving_ai.domain.dna import Genome
from evolving_ai.domain.fitness import Evaluation
from evolving_ai.evolution.evaluation import evaluate
from evolving_ai.evolution.ports import Evaluator

__all__ = ["InProcessExecutor"]


class InProcessExecutor:
    """An `Executor` with one slot: it evaluates when it is asked for a result.

    Deadlines are not kept here (a thread cannot be ended from outside), and an evaluator that ends the process ends
    the campaign's process: use actors for evaluators that are not trusted so far.
    """

    def __init__(self, evaluator: Evaluator, clock: Clock) -> None:
        self._evaluator = evaluator
        self._clock = clock
        self._waiting: deque[tuple[int, Genome]] = deque()
        self._busy_s = 0.0

    @property
    def slots(self) -> int:
        return 1

    @property
    def busy_s(self) -> float:
        return self._busy_s

    def submit(self, index: int, genome: Genome) -> None:
        self._waiting.append((index, genome))

    def next_result(self, timeout_s: float) -> tuple[int, Evaluation] | None:  # noqa: ARG002 - nothing to wait for
        if not self._waiting:
            return None
        index, genome = self._waiting.popleft()
        evaluation = evaluate(self._evaluator, genome, self._clock)
        self._busy_s += evaluation.duration_s
        return index, evaluation

    def close(self) -> None:
        self._waiting.clear()
