"""Twenty campaigns at once: they share the machine, and whoever asks the gateway or control does not wait for them."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from evolving_ai._common.clock import SystemClock
from evolving_ai._common.processes import end_marked, marked_processes
from tests.doubles.installation import Installation, Replica, eventually
from tests.integration.control.conftest import World

pytestmark = pytest.mark.slow

MARK = "EVOLVING_AI_TEST_CAMPAIGNS"
CAMPAIGNS = 20
ITERATIONS = 80
LONGEST_S = 200.0
SLOWEST_S = 5.0
PAUSE_S = 0.2
CHAT = {"model": "auto", "messages": [{"role": "user", "content": "easy 1"}]}
RUNNING = {"state": "running"}

Look = dict[str, dict[str, Any]]


@pytest.fixture
def mark(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """In the environment of every campaign that the test starts; none outlives it."""
    monkeypatch.setenv(MARK, str(world.home))
    yield f"{MARK}={world.home}"
    end_marked(f"{MARK}={world.home}", SystemClock(), linger_s=0.0, give_up_s=10.0)


class Watch:
    """Chats, and looks at all campaigns, again and again: what was seen, and how long each answer took."""

    def __init__(self, replica: Replica) -> None:
        self.looks: list[Look] = []
        self.took_s: list[float] = []
        self._replica = replica

    @contextlib.asynccontextmanager
    async def meanwhile(self) -> AsyncIterator[None]:
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching

    def has_seen_the_end_of(self, campaigns: list[str]) -> bool:
        return bool(self.looks) and all(is_over(self.looks[-1].get(each, RUNNING)) for each in campaigns)

    async def _watch(self) -> None:
        while True:
            await self._ask("POST", "/v1/chat/completions", CHAT)
            answer = await self._ask("GET", "/api/v1/evolution/campaigns")
            self.looks.append({campaign["id"]: campaign for campaign in answer["campaigns"]})
            await asyncio.sleep(PAUSE_S)

    async def _ask(self, method: str, path: str, body: Any = None) -> Any:
        begin_s = time.monotonic()
        answer = await self._replica.ask(method, path, body)
        self.took_s.append(time.monotonic() - begin_s)
        assert answer.status_code == 200, answer.text
        return answer.json()


async def start(replica: Replica, seed: int) -> str:
    """Start one over the API; its id."""
    answer = await replica.ask("POST", "/api/v1/evolution/start", {"max_iterations": ITERATIONS, "seed": seed})
    assert answer.status_code == 202, answer.text
    campaign: str = answer.json()["id"]
    return campaign


def is_over(campaign: dict[str, Any]) -> bool:
    return campaign["state"] not in ("created", "running")


def test_twenty_campaigns_share_the_machine_and_leave_serving_its_part(world: World, mark: str) -> None:
    async def test(it: Installation) -> None:
        replica = it.replicas[0]
        watch = Watch(replica)
        async with watch.meanwhile():
            campaigns = await asyncio.gather(*(start(replica, seed) for seed in range(CAMPAIGNS)))
            await eventually(lambda: watch.has_seen_the_end_of(campaigns), LONGEST_S)
        await eventually(lambda: not marked_processes(mark), LONGEST_S)
        assert max(watch.took_s) < SLOWEST_S
        assert_each_got_on_from_the_start(watch.looks, campaigns)

    world.run(test)


def assert_each_got_on_from_the_start(looks: list[Look], campaigns: list[str]) -> None:
    """All ended well, told of their progress on the way, and had made some when the first had ended."""
    assert looks[-1].keys() == set(campaigns)
    assert {(each["state"], each["iterations"]) for each in looks[-1].values()} == {("budget_exhausted", ITERATIONS)}
    when_first_ended = next(look for look in looks if any(map(is_over, look.values())))
    assert when_first_ended.keys() == set(campaigns)
    assert min(each["iterations"] for each in when_first_ended.values()) > 0
    for campaign in campaigns:
        told = [look[campaign]["iterations"] for look in looks if campaign in look]
        assert told == sorted(told)
        assert any(0 < iterations < ITERATIONS for iterations in told), told
