"""What every step of a demonstration has at hand: its platform, its traffic, the held-out questions, its record."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from evolving_ai._common.clock import Clock
from evolving_ai.decision.outcome_table import OutcomeTable
from evolving_ai.demo.ports import Platform, Teller
from evolving_ai.demo.record import DemoRecord, Mark
from evolving_ai.demo.settings import DemoSettings
from evolving_ai.demo.traffic import Answered, Question, Traffic
from evolving_ai.errors import PlatformError
from evolving_ai.serving.replay_provider.faults import FaultKind

__all__ = ["Demonstration"]

_Result = TypeVar("_Result")

_LOOK_EVERY_S = 0.25
_CHECK_EVERY_S = 1.0


@dataclass
class Demonstration:
    """One run. `pause` waits so many seconds, and raises KeyboardInterrupt when somebody asked to stop.

    `train` and `held_out` are the tables of the questions that policies are fitted on, and of those that are asked.
    """

    settings: DemoSettings
    platform: Platform
    traffic: Traffic
    train: OutcomeTable
    held_out: OutcomeTable
    record: DemoRecord
    teller: Teller
    clock: Clock
    pause: Callable[[float], None]
    last_check_s: float = float("-inf")

    def mark(self, label: str) -> None:
        """Something happened to the traffic now."""
        self.record.marks.append(Mark(round(self.traffic.now_s(), 2), label))

    def check(self) -> None:
        """Whether it makes sense to go on.

        StorageError when the disk is full, PlatformError when the platform has ended or too many requests fail.
        """
        now_s = self.clock.monotonic_s()
        if now_s - self.last_check_s < _CHECK_EVERY_S:
            return
        self.last_check_s = now_s
        self.platform.check()
        log = self.traffic.log
        if log.tally.failed > self.settings.most_failures:
            raise PlatformError(f"{log.tally.failed} of {log.tally.requests} requests failed: {log.first_reason()}")
        if self.traffic.silence_s > self.settings.longest_silence_s:
            logs = self.platform.home / "logs"
            raise PlatformError(f"no visitor was answered for {self.settings.longest_silence_s:g} s: see {logs}")

    def wait_until(
        self, is_so: Callable[[], bool], within_s: float, otherwise: str, *, every_s: float = _LOOK_EVERY_S
    ) -> float:
        """Wait; the seconds that it took. PlatformError, "`otherwise` within ... s", when it takes too long."""
        started_s = self.clock.monotonic_s()
        while not is_so():
            self.check()
            if self.clock.monotonic_s() - started_s > within_s:
                raise PlatformError(f"{otherwise} within {within_s:g} s")
            self.pause(every_s)
        return self.clock.monotonic_s() - started_s

    def result_of(self, future: "Future[_Result]", within_s: float, otherwise: str) -> _Result:
        """What another thread works out; PlatformError, as by `wait_until`, when it takes too long."""
        try:
            self.wait_until(future.done, within_s, otherwise, every_s=0.05)
        except BaseException:
            future.cancel()
            raise
        return future.result()

    def measured(self, models: Sequence[str] | None, headers: Mapping[str, str] | None = None) -> list[Answered]:
        """Ask every held-out question once, over the gateway. `models`: whom (one for each); None: let it decide."""
        names = ["auto"] * len(self.held_out) if models is None else [self.platform.target_of(m) for m in models]
        questions = [
            Question(request.prompt, name, headers or {})
            for request, name in zip(self.held_out.requests, names, strict=True)
        ]
        future = self.traffic.measured(questions, self.settings.measured_at_once)
        return self.result_of(future, self.settings.measured_within_s, "the held-out questions were not answered")

    @contextlib.contextmanager
    def faulty(self, model: str, kind: FaultKind, *, status: int | None = None) -> Iterator[None]:
        """The provider of `model` has this fault inside the block, whose own error is not hidden by its end."""
        self.platform.order_fault(model, kind, status=status)
        try:
            yield
        except BaseException:
            with contextlib.suppress(PlatformError):
                self.platform.order_fault(model, None)
            raise
        self.platform.order_fault(model, None)

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Of the platform's API."""
        return self.platform.ask(method, path, body)
