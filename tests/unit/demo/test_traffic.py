"""Visitors come at the rate that was asked for, bounded in flight, each a new one; what is measured is in order."""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager

import pytest

from evolving_ai._common.clock import ManualClock
from evolving_ai.demo.traffic import Answered, Question, Traffic
from evolving_ai.errors import PlatformError, UpstreamError
from evolving_ai.router.ports import UpstreamRequest, UpstreamResponse, UpstreamStream
from tests.doubles.virtual_time import run_in_virtual_time

ENOUGH_S = 30.0
"""Until everything was answered; virtual, so nobody waits."""
GOOD: Mapping[str, str] = {
    "x-evolving-target": "replay/small",
    "x-evolving-attempts": "1",
    "x-evolving-cost-usd": "0.000123",
    "x-replay-score": "0.75",
}


class FakeClient:
    """Answers after `seconds`, as `answer` says."""

    def __init__(self, answer: Callable[[UpstreamRequest], UpstreamResponse], seconds: float = 0.0) -> None:
        self.sent: list[UpstreamRequest] = []
        self.most_at_once = 0
        self.is_closed = False
        self._answer = answer
        self._seconds = seconds
        self._now = 0

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        self.sent.append(request)
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        await asyncio.sleep(self._seconds)
        self._now -= 1
        return self._answer(request)

    def stream(self, request: UpstreamRequest) -> AbstractAsyncContextManager[UpstreamStream]:
        raise NotImplementedError

    async def close(self) -> None:
        self.is_closed = True


def answering(status: int = 200, headers: Mapping[str, str] = GOOD, body: bytes = b"{}") -> FakeClient:
    return FakeClient(lambda _: UpstreamResponse(status, headers, body))


def poured(client: FakeClient, *, rate: float, seconds: float, most_in_flight: int = 100) -> Traffic:
    """Let visitors come for so many seconds of virtual time, and wait for their answers."""

    async def main(clock: ManualClock) -> Traffic:
        traffic = Traffic("http://g", "k", ["one", "two"], clock, seed=3, most_in_flight=most_in_flight, client=client)
        traffic.set_rate(rate)
        pouring = asyncio.create_task(traffic.pour())
        await asyncio.sleep(seconds)
        traffic.set_rate(0.0)
        await asyncio.sleep(ENOUGH_S)
        assert traffic.in_flight == 0
        traffic.stop()
        await pouring
        return traffic

    return run_in_virtual_time(main)


def measured(client: FakeClient, questions: list[Question], at_once: int) -> list[Answered]:
    async def main(clock: ManualClock) -> list[Answered]:
        traffic = Traffic("http://g", "k", ["one"], clock, seed=3, most_in_flight=1, client=client)
        pouring = asyncio.create_task(traffic.pour())
        await asyncio.sleep(0)
        asked = asyncio.wrap_future(traffic.measured(questions, at_once))
        await asyncio.sleep(ENOUGH_S)
        traffic.stop()
        await pouring
        return await asked

    return run_in_virtual_time(main)


@pytest.mark.parametrize("rate", [1.0, 30.0, 400.0])
def test_visitors_come_at_the_rate(rate: float) -> None:
    client = answering()
    traffic = poured(client, rate=rate, seconds=5.0)

    assert traffic.log.tally.requests == len(client.sent) == pytest.approx(5 * rate, abs=max(1.0, rate * 0.05))
    assert client.is_closed


def test_a_slow_gateway_does_not_slow_the_visitors_until_the_bound() -> None:
    client = FakeClient(lambda _: UpstreamResponse(200, GOOD, b""), seconds=1.0)
    assert poured(client, rate=40.0, seconds=5.0).log.tally.requests == pytest.approx(200, abs=3)
    assert client.most_at_once == pytest.approx(40, abs=2)

    bounded = FakeClient(lambda _: UpstreamResponse(200, GOOD, b""), seconds=1.0)
    poured(bounded, rate=40.0, seconds=5.0, most_in_flight=10)
    assert bounded.most_at_once == 10


def test_every_request_is_of_a_new_visitor_and_shows_the_key() -> None:
    client = answering()
    poured(client, rate=100.0, seconds=1.0)

    bodies = [json.loads(request.body) for request in client.sent]
    assert len({body["user"] for body in bodies}) == len(bodies) > 50
    assert {body["messages"][0]["content"] for body in bodies} == {"one", "two"}
    assert {body["model"] for body in bodies} == {"auto"}
    assert {request.headers["authorization"] for request in client.sent} == {"Bearer k"}
    assert {request.url for request in client.sent} == {"http://g/v1/chat/completions"}


def test_failures_are_counted_with_their_reason() -> None:
    refused = b'{"error": {"code": "not_ready", "message": "no"}}'
    assert poured(answering(503, {}, refused), rate=20.0, seconds=1.0).log.first_reason() == "503 not_ready"
    assert poured(answering(502, {}, b"bad\ngateway"), rate=20.0, seconds=1.0).log.first_reason() == "502 bad gateway"

    def broken(_: UpstreamRequest) -> UpstreamResponse:
        raise UpstreamError("connection", "the connection failed (reset)")

    log = poured(FakeClient(broken), rate=20.0, seconds=1.0).log
    assert log.first_reason() == "the connection failed (reset)"
    assert log.tally.failed == log.tally.requests > 10


def test_an_answer_at_the_second_attempt_was_failed_over() -> None:
    log = poured(answering(headers={**GOOD, "x-evolving-attempts": "2"}), rate=20.0, seconds=1.0).log
    assert log.tally.failed_over == log.tally.requests > 10


def test_silence_is_how_long_visitors_wait_without_an_answer() -> None:
    client = FakeClient(lambda _: UpstreamResponse(200, GOOD, b""), seconds=8.0)

    async def main(clock: ManualClock) -> list[float]:
        traffic = Traffic("http://g", "k", ["one"], clock, seed=3, most_in_flight=5, client=client)
        pouring = asyncio.create_task(traffic.pour())
        await asyncio.sleep(20.0)
        found = [traffic.silence_s]
        traffic.set_rate(1.0)
        await asyncio.sleep(7.0)
        traffic.set_rate(0.0)
        found.append(traffic.silence_s)
        await asyncio.sleep(ENOUGH_S)
        assert traffic.in_flight == 0
        found.append(traffic.silence_s)
        traffic.stop()
        await pouring
        return found

    idle, waiting, answered = run_in_virtual_time(main)
    assert (idle, answered) == (0.0, 0.0)
    assert waiting == pytest.approx(6.0, abs=0.1)


def test_measured_answers_stand_in_the_order_of_their_questions() -> None:
    def by_prompt(request: UpstreamRequest) -> UpstreamResponse:
        prompt = json.loads(request.body)["messages"][0]["content"]
        return UpstreamResponse(200, {**GOOD, "x-replay-score": prompt, "x-evolving-target": f"replay/m{prompt}"}, b"")

    client = FakeClient(by_prompt, seconds=0.5)
    questions = [Question(f"0.{digit}", "replay/x", {"x-evolving-dna": "abcd"}) for digit in range(1, 10)]
    answers = measured(client, questions, at_once=4)

    assert [answer.score for answer in answers] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert answers[0] == Answered("m0.1", 0.1, 0.000123, pytest.approx(0.5))
    assert client.most_at_once == 4
    assert {request.headers["x-evolving-dna"] for request in client.sent} == {"abcd"}


@pytest.mark.parametrize(
    ("client", "reason"),
    [(answering(404, {}, b"no"), "was not answered: 404 no"), (answering(200, {}), "lacks what is measured")],
)
def test_a_measured_question_must_be_answered(client: FakeClient, reason: str) -> None:
    with pytest.raises(PlatformError, match=reason):
        measured(client, [Question("one")] * 3, at_once=2)


def test_nothing_is_measured_before_the_traffic_runs() -> None:
    with pytest.raises(PlatformError, match="before the traffic runs"):
        Traffic("http://g", "k", ["one"], ManualClock(), seed=1, most_in_flight=1).measured([], 1)
