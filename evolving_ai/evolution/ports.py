"""What the search asks of its surroundings: something that scores, something that runs it, something that proposes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from evolving_ai.domain.dna import Genome
from evolving_ai.domain.fitness import Evaluation, Objective
from evolving_ai.domain.genes import GeneValue

if TYPE_CHECKING:
    import numpy as np

    from evolving_ai.evolution.population import Population

__all__ = ["Emitter", "Evaluator", "EvaluatorFactory", "Executor", "Outcome", "Proposal"]


class Evaluator(Protocol):
    """Scores genomes.

    Guarantees: `evaluate` gives equal scores for equal genomes, on every machine and in any order of calls. It may
    raise anything: the candidate is then recorded as failed, with the first line of the text.
    """

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What every evaluation has a score for."""
        ...

    def evaluate(self, genome: Genome) -> Evaluation:
        """Score one genome."""
        ...


EvaluatorFactory: TypeAlias = Callable[[], Evaluator]
"""Builds the evaluator where it runs. Picklable; whatever is large and shared belongs into its arrays."""


class Executor(Protocol):
    """Runs evaluations.

    Guarantees: every submitted candidate comes back exactly once from `next_result`, in any order; whatever goes wrong
    with it comes back as an evaluation with `failure`. Nothing runs any more when `close` returns.
    """

    @property
    def slots(self) -> int:
        """How many evaluations run at the same time."""
        ...

    @property
    def busy_s(self) -> float:
        """The evaluators' own time so far, summed over the slots."""
        ...

    def submit(self, index: int, genome: Genome) -> None:
        """Take a candidate; returns at once."""
        ...

    def next_result(self, timeout_s: float) -> tuple[int, Evaluation] | None:
        """A finished evaluation; None when none finished within about `timeout_s`, or nothing was submitted."""
        ...

    def close(self) -> None:
        """Stop everything; what had not finished is abandoned. Closing again is no change."""
        ...


@dataclass(frozen=True, slots=True)
class Proposal:
    """What an emitter wants evaluated: gene values (repaired by the search), where they come from, and its own note."""

    values: Mapping[str, GeneValue]
    parents: tuple[int, ...]
    operator: str
    note: object = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a proposal: gains (larger is better) for each objective, None when the evaluation failed."""

    gains: tuple[float, ...] | None
    entered: bool


class Emitter(Protocol):
    """An ask-tell strategy. It is deterministic: its state comes from its calls and the generators handed to it alone.

    The search calls in one thread and in an order that does not depend on timing. A proposal may be dropped (a
    duplicate); then it is never told.
    """

    @property
    def name(self) -> str:
        """How ledgers and reports call it."""
        ...

    def ask(self, population: "Population", rng: "np.random.Generator") -> Proposal | None:
        """A proposal, or None when this strategy has nothing to work on now."""
        ...

    def tell(self, proposal: Proposal, outcome: Outcome) -> None:
        """The outcome of an earlier proposal of its own."""
        ...
