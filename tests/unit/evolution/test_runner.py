"""Stopping, resuming, limits and states of a campaign, without a process or a disk."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from evolving_ai._common.clock import ManualClock
from evolving_ai.domain.dna import Genome
from evolving_ai.domain.fitness import Evaluation
from evolving_ai.errors import CampaignError, CorruptionError, SettingsError
from evolving_ai.evolution.campaign import CampaignSpec, Target
from evolving_ai.evolution.in_process import InProcessExecutor
from evolving_ai.evolution.progress import Progress
from evolving_ai.evolution.replay import read_campaign
from evolving_ai.evolution.runner import run_campaign
from evolving_ai.evolution.state import CampaignState, advance
from evolving_ai.stores.inmemory.campaign_ledger import InMemoryCampaignLedger
from evolving_ai.stores.ports import CandidateRecord
from tests.evaluators.toy import Menu, MixedFront

Make = Callable[..., Any]


class Counting:
    """Counts evaluations of each genome, and interrupts the process at chosen ones."""

    def __init__(self, problem: Any, interrupt_at: frozenset[int] = frozenset()) -> None:
        self._problem = problem
        self._interrupt_at = interrupt_at
        self.objectives = problem.objectives
        self.calls = 0

    def evaluate(self, genome: Genome) -> Evaluation:
        self.calls += 1
        if self.calls in self._interrupt_at:
            raise KeyboardInterrupt
        return self._problem.evaluate(genome)


def test_an_interrupted_campaign_is_stopped_and_goes_on_to_the_same_archive(spec_for: Make, run: Make) -> None:
    spec = spec_for(MixedFront(), max_evaluations=90, window=7)
    whole = run(spec, MixedFront())
    ledger = InMemoryCampaignLedger(spec.to_json())
    evaluator = Counting(MixedFront(), frozenset({3, 11, 12, 40, 77}))
    for _ in range(5):
        with pytest.raises(KeyboardInterrupt):
            run(spec, evaluator, ledger=ledger)
        assert ledger.state()[0] == CampaignState.STOPPED
    resumed = run(spec, evaluator, ledger=ledger)
    assert resumed.archive.digest() == whole.archive.digest()
    assert evaluator.calls == 90 + 5  # every committed result was kept: only the interrupted ones ran again
    assert read_campaign(ledger).archive.digest() == whole.archive.digest()


def test_a_stop_request_leaves_a_resumable_campaign(spec_for: Make, run: Make) -> None:
    spec = spec_for(MixedFront())
    ledger = InMemoryCampaignLedger(spec.to_json())
    answers = iter([False] * 20 + [True])
    stopped = run(spec, MixedFront(), ledger=ledger, should_stop=lambda: next(answers))
    assert stopped.state is CampaignState.STOPPED
    assert 0 < stopped.evaluations < 60
    assert run(spec, MixedFront(), ledger=ledger).archive.digest() == run(spec, MixedFront()).archive.digest()


def test_the_wall_clock_limit_ends_a_campaign_and_counts_earlier_runs(spec_for: Make) -> None:
    clock = ManualClock()

    class Slow(Menu):
        def evaluate(self, genome: Genome) -> Evaluation:
            clock.advance(1.0)
            return super().evaluate(genome)

    spec = spec_for(Menu(), max_evaluations=100, wall_clock_s=10.0)
    ledger = InMemoryCampaignLedger(spec.to_json())
    first = run_campaign(spec, ledger, InProcessExecutor(Slow(), clock), clock=clock)
    assert (first.state, first.evaluations) == (CampaignState.BUDGET_EXHAUSTED, 10)
    again = run_campaign(spec, ledger, InProcessExecutor(Slow(), clock), clock=clock)
    assert again.evaluations == 10
    longer = dataclasses.replace(spec, wall_clock_s=15.0)
    assert run_campaign(longer, ledger, InProcessExecutor(Slow(), clock), clock=clock).evaluations == 15


def test_a_larger_budget_continues_as_if_it_had_been_given_at_once(spec_for: Make, run: Make) -> None:
    small, large = spec_for(MixedFront(), max_evaluations=40), spec_for(MixedFront(), max_evaluations=100)
    ledger = InMemoryCampaignLedger(small.to_json())
    run(small, MixedFront(), ledger=ledger)
    evaluator = Counting(MixedFront())
    assert run(large, evaluator, ledger=ledger).archive.digest() == run(large, MixedFront()).archive.digest()
    assert evaluator.calls == 60


def test_a_ledger_of_another_search_is_refused(spec_for: Make, run: Make) -> None:
    spec = spec_for(Menu())
    ledger = InMemoryCampaignLedger(spec.to_json())
    with pytest.raises(CampaignError, match="has begun with other settings"):
        run(dataclasses.replace(spec, seed=2), Menu(), ledger=ledger)


def test_a_ledger_that_the_search_would_not_have_written_is_refused(spec_for: Make, run: Make) -> None:
    spec = spec_for(Menu())
    ledger = InMemoryCampaignLedger(spec.to_json())
    ledger.commit([CandidateRecord(0, "0" * 64, {})], {})
    with pytest.raises(CorruptionError, match="000000000000 as candidate 0, the search asks for"):
        run(spec, Menu(), ledger=ledger)


def test_a_campaign_that_reached_its_target_stays_as_it_is(spec_for: Make, run: Make) -> None:
    spec = spec_for(Menu(), max_evaluations=600, target=Target("right", 3.0))
    ledger = InMemoryCampaignLedger(spec.to_json())
    first = run(spec, Menu(), ledger=ledger)
    evaluator = Counting(Menu())
    again = run(spec, evaluator, ledger=ledger)
    assert (again.state, again.evaluations, evaluator.calls) == (CampaignState.TARGET_REACHED, first.evaluations, 0)


def test_progress_counts_to_the_end_and_names_the_best(spec_for: Make, run: Make) -> None:
    seen: list[Progress] = []
    run(spec_for(Menu(), max_evaluations=50), Menu(), on_progress=seen.append)
    last = seen[-1]
    assert (last.done, last.total, last.in_flight, last.failed) == (50, 50, 0, 0)
    assert last.best == {"right": max(float(k) for k in range(5) if k <= last.best["right"])}
    assert sum(candidates for candidates, _ in last.emitters.values()) == 50


def test_the_ledger_tells_the_best_of_each_objective_and_measure(spec_for: Make, run: Make) -> None:
    class Measured(Menu):
        def evaluate(self, genome: Genome) -> Evaluation:
            right = super().evaluate(genome).scores["right"]
            return Evaluation(scores={"right": right}, measures={"share": right.value / 4, "loss": -right.value})

    spec = spec_for(Measured(), max_evaluations=40)
    ledger = InMemoryCampaignLedger(spec.to_json())
    result = run(spec, Measured(), ledger=ledger)
    rights = [one.evaluation.scores["right"].value for one in result.scored]
    _, detail = ledger.state()
    assert detail["best"] == {"right": max(rights)}
    assert detail["highest_measures"] == {"share": max(rights) / 4, "loss": -min(rights)}


@pytest.mark.parametrize("target", [None, Target("cost", 0.1), Target("fitness_score", 0.9, is_measure=True)])
def test_every_target_survives_json(spec_for: Make, target: Target | None) -> None:
    spec = spec_for(MixedFront(), target=target)
    assert CampaignSpec.from_json(spec.to_json()).target == target


def test_a_spec_survives_json(spec_for: Make) -> None:
    spec = spec_for(
        MixedFront(), free=("kind",), fixed={"weight": 0.5}, target=Target("cost", 0.1), about={"file": "x.yaml"}
    )
    read = CampaignSpec.from_json(spec.to_json())
    assert read.to_json() == spec.to_json()
    assert read.base == spec.base


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"max_evaluations": 0}, "max_evaluations is 0: expected 1 or more"),
        ({"window": 0}, "window is 0"),
        ({"id": "../up"}, "campaign id"),
        ({"emitters": ("mixed", "magic")}, "emitter 'magic' is not known"),
        ({"target": Target("beauty", 1.0)}, "target objective beauty"),
        ({"base": ()}, "at least one base genome"),
        ({"deadline_s": 0.0}, "deadline_s is 0.0"),
    ],
)
def test_a_spec_that_cannot_be_is_refused(spec_for: Make, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        spec_for(Menu(), **changes)


def test_a_header_that_is_none_is_refused() -> None:
    with pytest.raises(CorruptionError, match="not the header of a campaign"):
        CampaignSpec.from_json({"format": 1})


def test_a_final_state_has_no_way_out() -> None:
    with pytest.raises(CampaignError, match="it may become nothing: it is final"):
        advance(CampaignState.TARGET_REACHED, CampaignState.RUNNING)
