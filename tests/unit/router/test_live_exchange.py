"""One request sees one policy, however often the live one is exchanged while requests are under way."""

import asyncio
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from evolving_ai._common.clock import ManualClock
from evolving_ai.domain.decision import Constraints
from evolving_ai.domain.outcome import AttemptResult
from evolving_ai.router.breaker import Breakers
from evolving_ai.router.chat_request import Demands
from tests.doubles.gateway_fakes import (
    Answers,
    Fails,
    FakePolicy,
    Streams,
    content_part,
    finish_part,
    role_part,
)
from tests.doubles.gateway_world import TARGETS, GatewayWorld, drained
from tests.doubles.virtual_time import run_in_virtual_time

MODELS = ("one", "two", "three")
HEX = "0123456789abcdef"


@dataclass(frozen=True)
class Sent:
    at_s: float
    is_stream: bool
    fails_first: bool
    is_constrained: bool


def policy_of(generation: int) -> FakePolicy:
    """The generations differ in everything: hashes, favourite, order."""
    turn = generation % len(MODELS)
    policy = FakePolicy(MODELS[turn:] + MODELS[:turn], generation=generation)
    policy.dna_hash = f"{generation:012x}" + HEX * 3 + "0000"
    policy.snapshot_hash = f"{generation:012x}" + HEX[::-1] * 3 + "ffff"
    return policy


requests = st.builds(Sent, st.floats(0, 2), st.booleans(), st.booleans(), st.booleans())


@given(st.lists(requests, min_size=1, max_size=12), st.floats(0.01, 0.2), st.floats(0, 1))
def test_a_request_sees_one_policy_while_it_is_exchanged_all_the_time(
    plan: list[Sent], exchange_every_s: float, answer_after_s: float
) -> None:
    async def main(clock: ManualClock) -> None:
        world = GatewayWorld(clock)
        world.path.policy = policy_of(1)
        headers: dict[str, dict[bytes, bytes]] = {}

        async def exchange() -> None:
            generation = 1
            while True:
                await asyncio.sleep(exchange_every_s)
                generation += 1
                world.path.pinned = (world.path.policy,)  # type: ignore[assignment]
                world.path.policy = policy_of(generation)

        async def send(sent: Sent) -> None:
            await asyncio.sleep(sent.at_s)
            gate = asyncio.Event()
            asyncio.get_running_loop().call_later(answer_after_s, gate.set)
            whole = Streams((role_part(), gate, content_part("hello"), finish_part()))
            answer_step = whole if sent.is_stream else Answers(gate=gate)
            for target in TARGETS:
                world.script(target.name, answer_step)
            if sent.fails_first and world.path.policy is not None:
                world.script(f"p/{world.path.policy.models[0]}", Fails.by(AttemptResult.CONNECTION))
            world.path.breakers = Breakers()
            constraints = Constraints(min_quality=0.1) if sent.is_constrained else None
            request = world.request(stream=sent.is_stream, demands=Demands(constraints=constraints))
            if sent.is_stream:
                streamed = await world.path.stream(request)
                headers[request.decision_id] = dict(streamed.headers)
                await drained(streamed.events)
            else:
                headers[request.decision_id] = dict((await world.path.complete(request)).headers)

        exchanging = asyncio.create_task(exchange())
        for sent in sorted(plan, key=lambda one: one.at_s):
            await send(sent)
        exchanging.cancel()
        await asyncio.gather(exchanging, return_exceptions=True)

        assert len(world.recorder.outcomes) == len(plan)
        for outcome in world.recorder.outcomes:
            policy = policy_of(int(outcome.dna_hash[:12], 16))
            assert (outcome.dna_hash, outcome.snapshot_hash) == (policy.dna_hash, policy.snapshot_hash)
            assert outcome.models == policy.models
            assert headers[outcome.decision_id][b"x-evolving-dna"] == policy.dna_hash[:12].encode()
            assert headers[outcome.decision_id][b"x-evolving-snapshot"] == policy.snapshot_hash[:12].encode()
            # Also after the first target failed, the next one is the next of the same policy.
            tried = [attempt.target.removeprefix("p/") for attempt in outcome.attempts]
            assert tried == list(policy.models[: len(tried)])
        world.assert_quiet()

    run_in_virtual_time(main)


def test_requests_under_way_end_with_the_policy_that_they_began_with() -> None:
    async def main(clock: ManualClock) -> None:
        world = GatewayWorld(clock)
        world.path.policy = policy_of(3)  # prefers one
        gate = asyncio.Event()
        world.script("p/one", Answers(gate=gate))
        early = [asyncio.create_task(world.path.complete(world.request())) for _ in range(20)]
        await asyncio.sleep(0)
        world.path.policy = policy_of(4)  # prefers two
        late = [asyncio.create_task(world.path.complete(world.request())) for _ in range(20)]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(*early, *late)

        seen = {(outcome.dna_hash[:12], outcome.target) for outcome in world.recorder.outcomes}
        assert seen == {(f"{3:012x}", "p/one"), (f"{4:012x}", "p/two")}
        world.assert_quiet()

    run_in_virtual_time(main)
