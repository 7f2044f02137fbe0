"""Who sees a rollout's candidate: sticky, monotone in the share, in proportion, and exactly said in the outcome."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai._common.clock import ManualClock
from evolving_ai.domain.decision import Constraints
from evolving_ai.rollout.observation import observation_of
from evolving_ai.router.assignment import assigned, position, unit_number
from evolving_ai.router.chat_request import Demands
from evolving_ai.router.ports import DecidedPolicy, Experiment
from evolving_ai.stores.ports import ScoredOutcome
from tests.doubles.gateway_fakes import FakePolicy, target_of
from tests.doubles.gateway_world import GatewayWorld

TARGETS = (target_of("p/one"), target_of("p/two"))
SHARE = 0.5


def in_world(test: Callable[[GatewayWorld], Awaitable[None]], share: float = SHARE) -> None:
    async def run() -> None:
        world = GatewayWorld(ManualClock(), TARGETS, policy=FakePolicy(["one", "two"], name="a"))
        world.path.experiment = Experiment("rollout-1", share, FakePolicy(["two", "one"], name="b"))
        await test(world)

    asyncio.run(run())


@given(st.integers(0, 2**64 - 1))
def test_a_position_is_in_range(number: int) -> None:
    assert 0 <= position(number) < 1


def test_positions_are_evenly_spread_and_those_of_two_rollouts_are_independent() -> None:
    units = [f"visitor-{number}".encode() for number in range(4000)]
    first = [position(unit_number("rollout-1", unit)) < 0.1 for unit in units]
    second = [position(unit_number("rollout-2", unit)) < 0.1 for unit in units]
    assert abs(sum(first) / 4000 - 0.1) < 0.02
    assert abs(sum(a and b for a, b in zip(first, second, strict=True)) / 4000 - 0.01) < 0.008


@given(st.text(min_size=1, max_size=20), st.floats(0.01, 0.98), st.floats(0.01, 0.98))
def test_whoever_is_in_the_canary_stays_in_it_as_the_share_grows(user: str, one: float, other: float) -> None:
    world = GatewayWorld(ManualClock(), TARGETS)
    low, high = sorted((one, other))
    policy = FakePolicy(["one", "two"])
    small = assigned(world.request(user=user), Experiment("rollout-1", low, policy))
    large = assigned(world.request(user=user), Experiment("rollout-1", high, policy))
    assert large.is_canary or not small.is_canary


@pytest.mark.parametrize("field", ["user", "safety_identifier"])
def test_a_visitor_sees_one_arm_whatever_it_asks(field: str) -> None:
    async def test(world: GatewayWorld) -> None:
        for number in range(20):
            questions = [
                {field: f"visitor-{number}", "messages": [{"role": "user", "content": text}]} for text in "xyz"
            ]
            arms = {assigned(world.request(**question), world.path.experiment).is_canary for question in questions}  # type: ignore[arg-type]
            assert len(arms) == 1

    in_world(test)


def test_a_conversation_stays_where_it_began() -> None:
    async def test(world: GatewayWorld) -> None:
        arms = set()
        for number in range(40):
            beginning: list[dict[str, Any]] = [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": f"question {number}"},
            ]
            later = [*beginning, {"role": "assistant", "content": "yes"}, {"role": "user", "content": "and then?"}]
            experiment = world.path.experiment
            assert experiment is not None
            first, second = (assigned(world.request(messages=turn), experiment) for turn in (beginning, later))
            assert first == second
            arms.add(first.is_canary)
        assert arms == {True, False}

    in_world(test)


def test_the_arm_decides_and_the_outcome_says_which_it_was() -> None:
    async def test(world: GatewayWorld) -> None:
        for number in range(30):
            await world.path.complete(world.request(user=f"visitor-{number}"))
        outcomes = world.recorder.outcomes
        arms = {outcome.assignment for outcome in outcomes}
        assert {(arm.rollout, arm.is_canary, arm.share) for arm in arms if arm} == {
            ("rollout-1", True, SHARE),
            ("rollout-1", False, SHARE),
        }
        assert len(arms) == 30, "every visitor is a unit of its own"
        for outcome in outcomes:
            assert outcome.assignment is not None
            assert outcome.dna_hash == ("b" if outcome.assignment.is_canary else "a") * 64
            assert outcome.target == ("p/two" if outcome.assignment.is_canary else "p/one")

    in_world(test)


def test_a_request_that_names_its_target_takes_no_part() -> None:
    async def test(world: GatewayWorld) -> None:
        await world.path.complete(world.request("p/one"))
        assert world.recorder.outcomes[0].assignment is None

    in_world(test, share=0.999)


def test_the_candidate_can_be_asked_for_outside_the_experiment() -> None:
    async def test(world: GatewayWorld) -> None:
        await world.path.complete(world.request(demands=Demands(dna="bbbb")))
        (outcome,) = world.recorder.outcomes
        assert (outcome.dna_hash, outcome.assignment) == ("b" * 64, None)

    in_world(test, share=0.001)


def test_a_preview_tells_the_propensities_of_the_arm_that_decides() -> None:
    async def test(world: GatewayWorld) -> None:
        for number in range(10):
            run, propensities = world.path.preview(world.request(user=f"visitor-{number}"))
            assert run.assignment is not None
            assert run.decided.decision.dna_hash == ("b" if run.assignment.is_canary else "a") * 64
            assert sum(propensities) == 1.0

    in_world(test)


def test_without_a_rollout_nothing_is_assigned() -> None:
    async def test(world: GatewayWorld) -> None:
        world.path.experiment = None
        await world.path.complete(world.request(user="visitor-1"))
        assert world.recorder.outcomes[0].assignment is None

    in_world(test)


class Broken(FakePolicy):
    """Cannot decide anything."""

    def decide(
        self, prompt: str, constraints: Constraints, *, seed: int, context: Mapping[str, str] | None = None
    ) -> DecidedPolicy:
        raise ZeroDivisionError("a defect of the candidate")


def test_what_a_candidate_cannot_decide_the_live_dna_does_and_the_outcome_tells() -> None:
    """Rule broken: such requests failed and left no outcome, so the candidate was promoted."""

    async def test(world: GatewayWorld) -> None:
        world.path.experiment = Experiment("rollout-1", 0.999, Broken(["two"], name="b"))
        for number in range(5):
            await world.path.complete(world.request(user=f"visitor-{number}"))
        for outcome in world.recorder.outcomes:
            assert outcome.assignment is not None
            assert (outcome.assignment.is_canary, outcome.dna_hash) == (True, "a" * 64)
            observed = observation_of(ScoredOutcome(outcome, outcome.score, None), "rollout-1", "b" * 64)
            assert observed is not None
            assert (observed.has_failed, observed.cost_usd, observed.latency_s) == (True, None, None)

    in_world(test)
