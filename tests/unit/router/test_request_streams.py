"""Streams: nothing goes out before content, failover until then, an error and no end mark after a cut."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai._common.clock import ManualClock
from evolving_ai.domain.outcome import AttemptResult
from evolving_ai.domain.target import ProviderKind
from evolving_ai.errors import RequestError, UpstreamError
from evolving_ai.router.breaker import BreakerState
from evolving_ai.router.chat_request import ChatRequest, Demands
from evolving_ai.router.ports import ChatCall, StreamPart
from evolving_ai.router.request_path import StreamedAnswer
from tests.doubles.gateway_fakes import (
    PRICE,
    WHOLE_STREAM,
    Fails,
    Hangs,
    RecordingPurse,
    Streams,
    content_part,
    finish_part,
    role_part,
    usage_part,
)
from tests.doubles.gateway_world import TARGETS, GatewayWorld, drained
from tests.doubles.virtual_time import run_in_virtual_time

DONE = b"data: [DONE]\n\n"
CUT = UpstreamError(AttemptResult.CONNECTION, "the connection broke")


def in_world(test: Callable[[GatewayWorld], Awaitable[None]], **options: Any) -> None:
    """Run `test` in a world of its own, in which nothing may be left open at the end."""

    async def main(clock: ManualClock) -> None:
        world = GatewayWorld(clock, **options)
        await test(world)
        world.assert_quiet()

    run_in_virtual_time(main)


async def streamed(world: GatewayWorld, request: ChatRequest | None = None) -> list[bytes]:
    answer = await world.path.stream(request or world.request(stream=True))
    return await drained(answer.events)


def headers_of(answer: StreamedAnswer) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in answer.headers}


def data_of(part: StreamPart) -> bytes:
    return b"data: " + part.data + b"\n\n"


# --- What the caller gets ---------------------------------------------------------------------------------------------


def test_a_stream_is_the_providers_events_then_the_cost_then_the_end_mark() -> None:
    async def test(world: GatewayWorld) -> None:
        events = await streamed(world)

        sent = [role_part(), content_part("hel"), content_part("lo"), finish_part()]
        assert events == [*map(data_of, sent), b": x-evolving-cost-usd 0.000022\n\n", DONE]
        outcome = world.outcome
        assert (outcome.status, outcome.error_code, outcome.target, outcome.is_stream) == (200, None, "p/one", True)
        assert (outcome.input_tokens, outcome.output_tokens, outcome.finish_reason) == (12, 34, "stop")
        assert world.purse.settled == [PRICE.cost_nano_usd(12, 34)]

    in_world(test)


def test_the_usage_event_is_for_those_who_asked() -> None:
    async def test(world: GatewayWorld) -> None:
        for options, is_wanted in (
            ({"include_usage": True}, True),
            ({"include_usage": False}, False),
            ({}, False),
            (None, False),
            (7, False),
        ):
            events = await streamed(world, world.request(stream=True, stream_options=options))
            assert (data_of(usage_part()) in events) is is_wanted
        assert {outcome.output_tokens for outcome in world.recorder.outcomes} == {34}

    in_world(test)


def test_usage_beside_content_is_counted_and_passed_on() -> None:
    async def test(world: GatewayWorld) -> None:
        last = finish_part()._replace(usage=usage_part().usage)
        world.script("p/one", Streams((content_part("hello"), last)))

        events = await streamed(world)

        assert data_of(last) in events
        assert world.outcome.output_tokens == 34

    in_world(test)


def test_the_last_count_of_several_stands() -> None:
    async def test(world: GatewayWorld) -> None:
        world.script("p/one", Streams((content_part("a"), usage_part(5, 1), content_part("b"), usage_part(5, 2))))

        await streamed(world)

        assert world.outcome.output_tokens == 2

    in_world(test)


def test_headers_name_the_target_and_count_the_attempt_under_way_but_no_cost() -> None:
    async def test(world: GatewayWorld) -> None:
        world.script("p/one", Fails.by(AttemptResult.SERVER_ERROR))
        world.script("p/two", Streams((role_part(headers={"x-replay-score": "1"}), content_part("hello"))))

        answer = await world.path.stream(world.request(stream=True))

        assert headers_of(answer) == {
            "x-request-id": "req-1",
            "x-evolving-dna": "a" * 12,
            "x-evolving-snapshot": "a" * 12,
            "x-evolving-target": "p/two",
            "x-evolving-attempts": "2",
            "x-replay-score": "1",
        }
        await drained(answer.events)
        assert world.outcome.score == 1.0
        assert len(world.outcome.attempts) == 2

    in_world(test)


def test_times_to_the_first_content_are_measured() -> None:
    async def test(world: GatewayWorld) -> None:
        gate = asyncio.Event()
        world.script("p/one", Hangs())
        world.script("p/two", Streams((role_part(), gate, content_part("hello"), finish_part())))
        task = asyncio.create_task(streamed(world))
        await asyncio.sleep(31)
        gate.set()
        await task

        assert world.outcome.first_byte_s == pytest.approx(31)
        assert world.outcome.attempts[0].first_byte_s is None
        assert world.outcome.attempts[1].first_byte_s == pytest.approx(1)

    in_world(test)


def test_content_is_recorded_where_it_is_wanted() -> None:
    async def test(world: GatewayWorld) -> None:
        await streamed(world, world.request(stream=True, records_content=True))

        content = orjson.loads(world.outcome.content or "")
        assert [chunk["choices"][0]["delta"] for chunk in content["answer"][:3]] == [
            {"role": "assistant"},
            {"content": "hel"},
            {"content": "lo"},
        ]

    in_world(test)


# --- Before content ---------------------------------------------------------------------------------------------------


def test_nothing_goes_out_before_content() -> None:
    async def test(world: GatewayWorld) -> None:
        gate = asyncio.Event()
        world.script("p/one", Streams((role_part(), role_part(), gate, content_part("hello"))))
        task = asyncio.create_task(world.path.stream(world.request(stream=True)))
        await asyncio.sleep(10)
        assert not task.done()
        gate.set()
        answer = await task

        assert (await drained(answer.events))[:3] == [
            data_of(role_part()),
            data_of(role_part()),
            data_of(content_part("hello")),
        ]

    in_world(test)


@pytest.mark.parametrize(
    "step",
    [
        Streams((role_part(), CUT)),
        Streams((CUT,)),
        Streams(()),
        Hangs(),
        Hangs(is_deaf=True),
        *[
            Fails.by(result)
            for result in AttemptResult
            if result not in (AttemptResult.OK, AttemptResult.REFUSED, AttemptResult.CANCELLED)
        ],
    ],
)
def test_before_content_another_target_takes_over(step: Streams | Fails | Hangs) -> None:
    async def test(world: GatewayWorld) -> None:
        world.script("p/one", step)

        events = await streamed(world)

        assert events[0] == data_of(role_part())
        assert events.count(data_of(role_part())) == 1
        assert events[-1] == DONE
        assert world.provider.called == ["p/one", "p/two"]
        assert world.outcome.target == "p/two"
        assert world.outcome.attempts[0].result is not AttemptResult.OK

    in_world(test)


def test_silence_before_content_is_a_timeout_of_the_target() -> None:
    async def test(world: GatewayWorld) -> None:
        for target in TARGETS:
            world.script(target.name, Streams((role_part(), asyncio.Event())))

        with pytest.raises(RequestError) as caught:
            await world.path.stream(world.request(stream=True))

        assert caught.value.code == "upstream_timeout"
        assert [attempt.latency_s for attempt in world.outcome.attempts] == pytest.approx([30, 30, 30])
        assert world.path.breakers.health("p/one").failures == 1

    in_world(test)


def test_a_callers_deadline_ends_the_wait_for_content_and_opens_no_breaker() -> None:
    async def test(world: GatewayWorld) -> None:
        world.script("p/one", Hangs(is_deaf=True))
        for _ in range(6):
            with pytest.raises(RequestError):
                await world.path.stream(world.request("one", stream=True, demands=Demands(deadline_s=2.0)))

        assert [outcome.latency_s for outcome in world.recorder.outcomes] == pytest.approx([2.0] * 6)
        assert world.path.breakers.health("p/one").state is BreakerState.CLOSED

    in_world(test)


def test_a_refusal_before_content_is_not_tried_elsewhere() -> None:
    async def test(world: GatewayWorld) -> None:
        world.script("p/one", Fails.by(AttemptResult.REFUSED, status=400, body=b"{}"))

        with pytest.raises(UpstreamError):
            await world.path.stream(world.request(stream=True))

        assert world.provider.called == ["p/one"]
        assert (world.outcome.status, world.outcome.error_code) == (400, "invalid_request")

    in_world(test)


def test_parts_without_content_are_held_up_to_a_limit() -> None:
    async def test(world: GatewayWorld) -> None:
        never = asyncio.Event()
        world.script("p/one", Streams((*[role_part()] * 64, never)))

        answer = await world.path.stream(world.request(stream=True))

        assert await anext(answer.events) == data_of(role_part())
        await answer.events.aclose()
        assert world.outcome.error_code == "client_closed"

    in_world(test)


def test_an_answer_that_ends_without_content_is_an_answer() -> None:
    async def test(world: GatewayWorld) -> None:
        world.script("p/one", Streams((role_part(), finish_part("content_filter"))))

        events = await streamed(world)

        assert events[:2] == [data_of(role_part()), data_of(finish_part("content_filter"))]
        assert events[-1] == DONE
        assert world.outcome.finish_reason == "content_filter"

    in_world(test)


# --- After content ----------------------------------------------------------------------------------------------------


@given(st.integers(0, 4))
def test_a_stream_cut_at_any_part_is_never_taken_for_whole(place: int) -> None:
    async def test(world: GatewayWorld) -> None:
        parts = list(WHOLE_STREAM.steps)[:place]
        world.script("p/one", Streams((*parts, CUT)))

        events = await streamed(world)

        if place < 2:  # no content yet: the next target answered
            assert world.provider.called == ["p/one", "p/two"]
            assert events[-1] == DONE
            return
        assert world.provider.called == ["p/one"]
        assert DONE not in events
        error = orjson.loads(events[-2].removeprefix(b"data: "))["error"]
        assert error.keys() == {"message", "type", "param", "code", "request_id"}
        assert (error["code"], error["request_id"]) == ("all_targets_failed", "req-1")
        assert events[-1].startswith(b": x-evolving-cost-usd 0.")
        assert (world.outcome.status, world.outcome.error_code) == (200, "all_targets_failed")
        assert world.outcome.attempts[0].result is AttemptResult.CONNECTION
        assert world.path.breakers.health("p/one").failures == 1

    in_world(test)


def test_what_a_broken_stream_has_cost_is_estimated_by_its_text() -> None:
    """Rule broken: four bytes are one token; the JSON around each piece of text was counted as text."""

    async def test(world: GatewayWorld) -> None:
        world.script("p/one", Streams((role_part(), *[content_part("four")] * 10, CUT)))

        await streamed(world)

        assert 10 <= world.outcome.output_tokens <= 20
        assert world.outcome.input_tokens == 25

    in_world(test)


def test_an_estimate_of_a_stream_is_never_more_than_was_reserved() -> None:
    async def test(world: GatewayWorld) -> None:
        world.script("p/one", Streams((*[content_part("x" * 400)] * 10, CUT)))

        await streamed(world, world.request("one", stream=True, max_tokens=3))

        assert world.outcome.output_tokens == 3

    in_world(test)


def test_a_defect_in_a_stream_is_no_client_that_left() -> None:
    """Rule broken: outcomes say what happened; a defect after content was recorded as a client that went away."""

    async def test(world: GatewayWorld) -> None:
        world.script("p/one", Streams((content_part("hello"), ZeroDivisionError("defect"))))
        answer = await world.path.stream(world.request(stream=True))

        with pytest.raises(ZeroDivisionError):
            await drained(answer.events)

        assert (world.outcome.error_code, world.outcome.attempts[0].result) == (
            "internal_error",
            AttemptResult.MALFORMED,
        )

    in_world(test)


@pytest.mark.parametrize("steps", [(ZeroDivisionError(),), (role_part(), KeyError("choices"))])
def test_a_defect_before_content_settles_and_is_recorded(steps: tuple[StreamPart | BaseException, ...]) -> None:
    """Rule broken: every attempt is settled exactly once, however it ends."""

    async def test(world: GatewayWorld) -> None:
        world.script("p/one", Streams(steps))

        with pytest.raises((ZeroDivisionError, KeyError)):
            await world.path.stream(world.request(stream=True))

        assert (world.outcome.status, world.outcome.error_code) == (500, "internal_error")

    in_world(test)


def test_a_score_that_is_none_does_not_break_a_stream() -> None:
    async def test(world: GatewayWorld) -> None:
        world.script("p/one", Streams((role_part(headers={"x-replay-score": "good"}), content_part("hello"))))

        await streamed(world)

        assert world.outcome.score is None

    in_world(test)


# --- Clients that leave -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("read", [0, 1, 2, 3, 4, 5, 6])
def test_a_stream_closed_at_any_event_settles_and_is_recorded_once(read: int) -> None:
    """Rule broken: every ending; a stream that was closed before its first event was left open for ever."""

    async def test(world: GatewayWorld) -> None:
        answer = await world.path.stream(world.request(stream=True))
        for _ in range(read):
            await anext(answer.events)
        await answer.events.aclose()

        is_whole = read > 4
        assert world.outcome.error_code == (None if is_whole else "client_closed")
        result = AttemptResult.OK if is_whole else AttemptResult.CANCELLED
        assert [attempt.result for attempt in world.outcome.attempts] == [result]
        assert len(world.purse.settled) == 1

    in_world(test)


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_a_request_cancelled_while_it_waits_for_a_part_is_recorded_once(place: int) -> None:
    async def test(world: GatewayWorld) -> None:
        steps = list(WHOLE_STREAM.steps)
        steps.insert(place, asyncio.Event())
        world.script("p/one", Streams(steps))
        task = asyncio.create_task(streamed(world))
        await asyncio.sleep(5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        has_content = place > 1
        assert world.outcome.error_code == "client_closed"
        assert world.outcome.status == (200 if has_content else 499)
        assert [attempt.result for attempt in world.outcome.attempts] == [AttemptResult.CANCELLED]
        assert world.provider.called == ["p/one"]

    in_world(test)


class StubbornProvider:
    """Parts come from an iterator that is no generator and takes its time to close; `is_closed` tells."""

    def __init__(self, parts: list[StreamPart], error: BaseException | None = None) -> None:
        self.parts = list(parts)
        self.error = error
        self.is_closed = False
        self.closing = asyncio.Event()

    def stream(self, call: ChatCall) -> AsyncIterator[StreamPart]:
        return self

    def __aiter__(self) -> AsyncIterator[StreamPart]:
        return self

    async def __anext__(self) -> StreamPart:
        if self.parts:
            return self.parts.pop(0)
        if self.error is not None:
            raise self.error
        await asyncio.sleep(1e9)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.is_closed = True
        self.closing.set()
        await asyncio.sleep(5)


def test_any_iterator_that_can_be_closed_is_closed() -> None:
    """Rule broken: closing the iterator closes the connection; only generators were closed."""

    async def test(world: GatewayWorld) -> None:
        for read, error in ((1, None), (3, CUT), (0, None)):
            provider = StubbornProvider([content_part("a"), content_part("b")], error)
            world.path._providers = {ProviderKind.OPENAI: provider}  # type: ignore[dict-item]
            answer = await world.path.stream(world.request(stream=True))
            for _ in range(read):
                await anext(answer.events)
            await answer.events.aclose()
            assert provider.is_closed

    in_world(test)


def test_silent_targets_are_closed_too() -> None:
    async def test(world: GatewayWorld) -> None:
        provider = StubbornProvider([role_part()])
        world.path._providers = {ProviderKind.OPENAI: provider}  # type: ignore[dict-item]
        with pytest.raises(RequestError):
            await world.path.stream(world.request("one", stream=True))

        assert provider.is_closed

    in_world(test)


@pytest.mark.parametrize("has_content", [True, False])
def test_a_second_cancellation_while_closing_loses_nothing(has_content: bool) -> None:
    """Rule broken: settled, recorded and left in every ending; a cancelled close skipped all three."""

    async def test(world: GatewayWorld) -> None:
        provider = StubbornProvider([content_part("a") if has_content else role_part()])
        world.path._providers = {ProviderKind.OPENAI: provider}  # type: ignore[dict-item]
        task = asyncio.create_task(streamed(world))
        await asyncio.sleep(1)
        task.cancel()
        await provider.closing.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert world.outcome.error_code == "client_closed"

    in_world(test)


# --- Limits and money -------------------------------------------------------------------------------------------------


def test_a_stream_is_inside_until_it_ends() -> None:
    async def test(world: GatewayWorld) -> None:
        answer = await world.path.stream(world.request(stream=True))
        assert (world.path.in_flight, world.limiter.inside) == (1, {"key-1": 1})
        assert len(world.purse.open) == 1

        await drained(answer.events)

        assert (world.path.in_flight, world.limiter.inside) == (0, {"key-1": 0})

    in_world(test)


def test_a_stream_that_may_not_begin_leaves_at_once() -> None:
    async def test(world: GatewayWorld) -> None:
        with pytest.raises(RequestError, match="budget"):
            await world.path.stream(world.request(stream=True))
        with pytest.raises(RequestError, match="nine"):
            await world.path.stream(world.request("nine", stream=True))
        world.limiter.wait_s = 1.0
        with pytest.raises(RequestError, match="may not send more requests now"):
            await world.path.stream(world.request(stream=True))

        assert world.limiter.admitted == 2
        assert world.outcome.error_code == "budget_exceeded"

    in_world(test, purse=RecordingPurse(grants=0))


# --- Any script -------------------------------------------------------------------------------------------------------

steps = st.lists(
    st.sampled_from([role_part(), content_part("text"), finish_part(), usage_part(), CUT, ZeroDivisionError("defect")]),
    max_size=6,
).map(Streams) | st.sampled_from(
    [Fails.by(result) for result in AttemptResult if result is not AttemptResult.OK] + [Hangs(), Hangs(is_deaf=True)]
)


@given(st.lists(steps, min_size=3, max_size=3), st.integers(0, 12), st.none() | st.floats(0.001, 100), st.booleans())
def test_whatever_happens_is_settled_and_recorded_once(
    scripts: list[Any], read: int, deadline_s: float | None, is_whole: bool
) -> None:
    async def test(world: GatewayWorld) -> None:
        for target, step in zip(TARGETS, scripts, strict=True):
            world.script(target.name, step)
        request = world.request(stream=True, demands=Demands(deadline_s=deadline_s))
        events: list[bytes] = []
        try:
            answer = await world.path.stream(request)
            async for event in answer.events:
                events.append(event)
                if not is_whole and len(events) >= read:
                    break
            await answer.events.aclose()
        except (RequestError, UpstreamError, ZeroDivisionError):
            pass

        outcome = world.outcome
        assert len(world.purse.settled) == len(outcome.attempts) == len(world.provider.calls) <= 3
        assert outcome.cost_nano_usd == sum(world.purse.settled)
        assert (DONE in events) <= (outcome.error_code is None)
        assert (outcome.target is None) == (outcome.status != 200)

    in_world(test)
