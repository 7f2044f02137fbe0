"""The traffic of a demonstration: visitors who ask held-out questions, from an event loop in a thread of its own.

Open loop: requests are due at a rate, whether or not those before were answered, so a gateway that stands still is
seen to stand still. Each request is of a new visitor. On two cores everything shares the time, so a request is kept
cheap: its body is put together from bytes, and of its answer the headers alone are read.
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
import uvloop

from evolving_ai._common.clock import Clock
from evolving_ai._common.rng import derive_rng
from evolving_ai.demo.traffic_log import TrafficLog
from evolving_ai.domain.problem import PROBLEMS
from evolving_ai.errors import PlatformError, UpstreamError
from evolving_ai.router.ports import UpstreamClient, UpstreamRequest, UpstreamResponse
from evolving_ai.router.upstream.asyncio_client import AsyncioClient

__all__ = ["Answered", "Question", "Traffic", "running_traffic"]

_PATH = "/v1/chat/completions"
_TIMEOUT_S = 60.0
_TICK_S = 0.01
_MOST_OWED_S = 1.0
"""Of requests that could not be sent in time so many seconds' worth are made up for; the rate falls by the others."""
_DRAWN = 8192
_REASON_CHARS = 120


@dataclass(frozen=True, slots=True)
class Question:
    """What one visitor asks: `model` is `auto` or the name of a target; `headers` beside the usual ones."""

    prompt: str
    model: str = "auto"
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def rest(self) -> bytes:
        """The JSON of the body, without its opening brace."""
        return orjson.dumps({"model": self.model, "messages": [{"role": "user", "content": self.prompt}]})[1:]


class Answered(NamedTuple):
    """What became of a measured question. `score` (0 to 1) is the recorded one of the answer that was given."""

    model: str
    score: float
    cost_usd: float
    seconds: float


class Traffic:
    """Sends to the gateway at `url` by `client`; times are in seconds since it was made.

    `set_rate`, `measured` and `stop` may be called from any thread while `run` runs in its own.
    """

    def __init__(
        self,
        url: str,
        key: str,
        prompts: Sequence[str],
        clock: Clock,
        *,
        seed: int,
        most_in_flight: int,
        client: UpstreamClient | None = None,
    ) -> None:
        self.log = TrafficLog()
        self._started_s = clock.monotonic_s()
        self._client = client or AsyncioClient()
        self._url = url + _PATH
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        self._bodies = [Question(prompt).rest for prompt in prompts]
        self._clock = clock
        self._rng = derive_rng(seed, "demo", "traffic")
        self._drawn: list[int] = []
        self._most_in_flight = most_in_flight
        self._rate = 0.0
        self._visitors = 0
        self._in_flight = 0
        self._last_idle_s = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_ready = threading.Event()
        self._is_stopped = False

    # --- From any thread ----------------------------------------------------------------------------------------------

    def set_rate(self, rate: float) -> None:
        """From now on so many requests per second; 0: none."""
        self._rate = rate

    def now_s(self) -> float:
        """Seconds since the beginning."""
        return self._clock.monotonic_s() - self._started_s

    def measured(self, questions: Sequence[Question], at_once: int) -> "Future[list[Answered]]":
        """Ask each question once, `at_once` of them at a time; the answers in the order of the questions.

        PlatformError for the first that is not answered.
        """
        if self._loop is None:
            raise PlatformError("nothing is measured before the traffic runs")
        return asyncio.run_coroutine_threadsafe(self._measure(questions, at_once), self._loop)

    @property
    def in_flight(self) -> int:
        """Visitors who wait for their answer."""
        return self._in_flight

    @property
    def silence_s(self) -> float:
        """For how long visitors have waited without that anyone was answered; 0 while nobody waits."""
        return self.now_s() - max(self.log.last_s, self._last_idle_s) if self._in_flight else 0.0

    def stop(self) -> None:
        """No more requests; those in flight are given up."""
        self._is_stopped = True

    def await_start(self) -> None:
        """Return when `run` runs."""
        self._is_ready.wait()

    # --- In the thread of the loop ------------------------------------------------------------------------------------

    def run(self) -> None:
        """Send until `stop`."""
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self.pour())
        finally:
            self._is_ready.set()

    async def pour(self) -> None:
        """What `run` runs in its loop."""
        loop = self._loop = asyncio.get_running_loop()
        self._is_ready.set()
        tasks: set[asyncio.Task[None]] = set()
        owed, last_s = 0.0, loop.time()
        try:
            while not self._is_stopped:
                await asyncio.sleep(_TICK_S)
                now_s, rate = loop.time(), self._rate
                owed = min(owed + rate * (now_s - last_s), rate * _MOST_OWED_S)
                last_s = now_s
                if not self._in_flight:
                    self._last_idle_s = self.now_s()
                while owed >= 1 and self._in_flight < self._most_in_flight:
                    owed -= 1
                    self._in_flight += 1
                    task = loop.create_task(self._visit())
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
        finally:
            await self._client.close()

    async def _visit(self) -> None:
        try:
            await self._sent(self._bodies[self._draw()], self._headers)
        finally:
            self._in_flight -= 1

    def _draw(self) -> int:
        if not self._drawn:
            self._drawn = self._rng.integers(len(self._bodies), size=_DRAWN).tolist()
        return self._drawn.pop()

    async def _sent(self, rest: bytes, headers: Mapping[str, str]) -> UpstreamResponse | None:
        """The answer, which is logged; None when the request failed."""
        self._visitors += 1
        body = b'{"user":"visitor-%d",%b' % (self._visitors, rest)
        request = UpstreamRequest(self._url, headers, body, _TIMEOUT_S, _TIMEOUT_S)
        try:
            response = await self._client.send(request)
        except UpstreamError as exc:
            self.log.failed(self.now_s(), str(exc))
            return None
        if response.status != 200:
            self.log.failed(self.now_s(), _reason(response))
            return None
        found = response.headers
        is_failed_over = found.get("x-evolving-attempts", "1") != "1"
        model = found.get("x-evolving-target", "").rpartition("/")[2]
        self.log.answered(self.now_s(), model, is_failed_over=is_failed_over)
        return response

    async def _measure(self, questions: Sequence[Question], at_once: int) -> list[Answered]:
        answers: dict[int, Answered] = {}
        waiting = iter(enumerate(questions))

        async def work() -> None:
            for place, question in waiting:
                begin_s = self._clock.monotonic_s()
                response = await self._sent(question.rest, {**self._headers, **question.headers})
                if response is None:
                    raise PlatformError(f"a measured question was not answered: {self.log.first_reason()}")
                answers[place] = _answered(response, self._clock.monotonic_s() - begin_s)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(at_once):
                    group.create_task(work())
        except* PlatformError as group_of_errors:
            raise group_of_errors.exceptions[0] from None
        return [answers[place] for place in range(len(questions))]


def _answered(response: UpstreamResponse, seconds: float) -> Answered:
    found = response.headers
    try:
        model = found["x-evolving-target"].rpartition("/")[2]
        return Answered(model, float(found["x-replay-score"]), float(found["x-evolving-cost-usd"]), seconds)
    except (KeyError, ValueError) as exc:
        raise PlatformError(f"an answer lacks what is measured ({exc}): expected recorded answers") from exc


def _reason(response: UpstreamResponse) -> str:
    text = " ".join(response.body[:_REASON_CHARS].decode("utf-8", "replace").split())
    try:
        code: Any = orjson.loads(response.body)["error"]["code"]
    except (ValueError, TypeError, KeyError):
        code = None
    return f"{response.status} {code if code in PROBLEMS else text}"


@contextlib.contextmanager
def running_traffic(traffic: Traffic) -> Iterator[Traffic]:
    """The traffic, ready inside the block; its thread has ended afterwards, however the block ends."""
    with ThreadPoolExecutor(1, thread_name_prefix="demo-traffic") as threads:
        running = threads.submit(traffic.run)
        try:
            traffic.await_start()
            yield traffic
        finally:
            traffic.stop()
        running.result()
