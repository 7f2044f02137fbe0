"""Campaigns over toy problems, run in process with a clock that stands still."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from evolving_ai._common.clock import ManualClock
from evolving_ai._common.rng import derive_rng
from evolving_ai.domain.dna import Genome
from evolving_ai.domain.fitness import Evaluation
from evolving_ai.evolution.campaign import CampaignSpec
from evolving_ai.evolution.evaluation import evaluate
from evolving_ai.evolution.in_process import InProcessExecutor
from evolving_ai.evolution.result import CampaignResult
from evolving_ai.evolution.runner import run_campaign
from evolving_ai.stores.inmemory.campaign_ledger import InMemoryCampaignLedger


class ShuffledExecutor:
    """Many slots that finish in a random order: what a cluster does to a campaign."""

    def __init__(self, evaluator: Any, *, slots: int, seed: int) -> None:
        self._evaluator = evaluator
        self._rng = derive_rng(seed, "finishing order")
        self._clock = ManualClock()
        self._waiting: list[tuple[int, Genome]] = []
        self.slots = slots
        self.busy_s = 0.0
        self.submitted: list[int] = []

    def submit(self, index: int, genome: Genome) -> None:
        self._waiting.append((index, genome))
        self.submitted.append(index)

    def next_result(self, timeout_s: float) -> tuple[int, Evaluation] | None:
        if not self._waiting:
            return None
        position = int(self._rng.integers(min(self.slots, len(self._waiting))))
        index, genome = self._waiting.pop(position)
        return index, evaluate(self._evaluator, genome, self._clock)

    def close(self) -> None:
        self._waiting.clear()


@pytest.fixture
def spec_for() -> Callable[..., CampaignSpec]:
    def make(problem: Any, **changes: Any) -> CampaignSpec:
        plain = CampaignSpec(
            id="test",
            seed=1,
            max_evaluations=60,
            objectives=problem.objectives,
            space=problem.space,
            base=(Genome(problem.space.defaults()),),
        )
        return dataclasses.replace(plain, **changes)

    return make


@pytest.fixture
def run() -> Callable[..., CampaignResult]:
    def go(spec: CampaignSpec, evaluator: Any, *, ledger: Any = None, executor: Any = None, **more: Any) -> Any:
        clock = ManualClock()
        return run_campaign(
            spec,
            ledger if ledger is not None else InMemoryCampaignLedger(spec.to_json()),
            executor if executor is not None else InProcessExecutor(evaluator, clock),
            clock=clock,
            **more,
        )

    return go


@pytest.fixture
def shuffled() -> type[ShuffledExecutor]:
    return ShuffledExecutor
