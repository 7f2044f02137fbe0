"""The platform on Ray Serve, with stand-ins for what it serves: the same tests in both profiles."""

import asyncio
import json
import os
import signal
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from evolving_ai._common.processes import marked_processes
from evolving_ai.serving.supervisor_desk import redeploy
from tests.integration.serving.conftest import Platform
from tests.integration.serving.http_load import HttpLoad, get

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def ask(platform: Platform, path: str) -> tuple[int, dict[str, Any]]:
    status, body = asyncio.run(get(platform.port, path))
    return status, json.loads(body)


def until(condition: Callable[[], bool], within_s: float) -> None:
    """Wait for `condition`; the test fails when it does not come true."""
    give_up = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < give_up, "it did not come true in time"
        time.sleep(0.1)


def test_every_replica_answers(platform: Platform) -> None:
    replicas = set(platform.replicas("gateway"))
    seen: set[int] = set()

    def all_seen() -> bool:
        seen.add(ask(platform, "/")[1]["pid"])
        return seen == replicas

    assert len(replicas) == 2
    until(all_seen, within_s=20)


def test_an_answer_has_one_request_id_and_it_is_the_gateways(platform: Platform) -> None:
    with urllib.request.urlopen(f"{platform.state.url}/", timeout=10) as answer:  # noqa: S310 - our own address
        assert answer.headers.get_all("x-request-id") == ["ours"]


def test_a_replica_asks_control_and_control_the_learner(platform: Platform) -> None:
    assert ask(platform, "/control/echo/hello") == (200, {"answer": "hello"})
    assert ask(platform, "/control/learn/hello") == (200, {"answer": "olleh"})


def test_an_error_of_control_arrives_as_it_was_raised(platform: Platform) -> None:
    status, problem = ask(platform, "/control/refuse/x")

    assert status == 503
    assert problem == {"error": "RequestError", "message": "the budget is spent", "code": "budget_exceeded"}


def test_what_control_tells_reaches_every_replica_at_once(platform: Platform) -> None:
    news = f"news-{time.monotonic()}"
    replicas = set(platform.replicas("gateway"))

    begun = time.monotonic()
    assert ask(platform, f"/control/tell/{news}")[0] == 200
    took = time.monotonic() - begun

    told: set[int] = set()

    def all_told() -> bool:
        answer = ask(platform, "/")[1]
        assert answer["told"] == news
        told.add(answer["pid"])
        return told == replicas

    until(all_told, within_s=20)
    assert took < 1.5


def test_no_request_is_lost_while_all_replicas_are_replaced(platform: Platform) -> None:
    before = platform.replicas("gateway")

    async def scenario() -> HttpLoad:
        async with HttpLoad(platform.port, kept=6, fresh=3, pause_s=0.02) as load:
            await asyncio.to_thread(redeploy, platform.state, "gateway")

            def all_replaced() -> bool:
                now = platform.replicas("gateway")
                return len(now) == 2 and not set(now) & set(before)

            await asyncio.to_thread(until, all_replaced, 60)
            await asyncio.sleep(0.5)
        return load

    load = asyncio.run(scenario())

    assert load.failed == {}
    assert load.answered > 100


def test_a_killed_replica_is_replaced_and_the_others_go_on(platform: Platform) -> None:
    victim = platform.replicas("gateway")[0]

    os.kill(victim, signal.SIGKILL)

    def replaced() -> bool:
        now = platform.replicas("gateway")
        return len(now) == 2 and victim not in now

    until(replaced, within_s=30)
    assert [ask(platform, "/")[0] for _ in range(10)] == [200] * 10


def test_a_killed_control_is_replaced_and_traffic_goes_on(platform: Platform) -> None:
    (victim,) = platform.replicas("control")

    async def scenario() -> HttpLoad:
        async with HttpLoad(platform.port, kept=3, fresh=1, pause_s=0.02) as load:
            os.kill(victim, signal.SIGKILL)

            def replaced() -> bool:
                return platform.replicas("control") not in ([], [victim])

            await asyncio.to_thread(until, replaced, 30)
        return load

    load = asyncio.run(scenario())

    assert load.failed == {}
    until(lambda: ask(platform, "/control/pid/x")[0] == 200, within_s=20)


def test_every_process_bears_the_mark(platform: Platform) -> None:
    marked = marked_processes(platform.state.mark)

    assert {*platform.replicas("gateway"), *platform.replicas("control")} < set(marked)
