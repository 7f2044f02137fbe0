"""What became of the requests of a demonstration: counted by second and by model, the reasons of failures kept."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from evolving_ai.demo.record import TrafficSecond

__all__ = ["Tally", "TrafficLog"]

_MOST_REASONS = 20


class Tally(NamedTuple):
    """Requests that have ended so far: all, those that failed, and those that another target had to answer."""

    requests: int
    failed: int
    failed_over: int

    def since(self, before: "Tally") -> "Tally":
        """What came after `before`."""
        return Tally(*(now - then for now, then in zip(self, before, strict=True)))


class TrafficLog:
    """One thread adds to it; others may read the tally meanwhile, and the rest once nothing is added any more.

    Seconds are counted from the beginning of the demonstration; `last_s` is when a request was answered last.
    """

    def __init__(self) -> None:
        self._answers: dict[int, Counter[str]] = {}
        self._failed: Counter[int] = Counter()
        self._requests = 0
        self._failures = 0
        self._failed_over = 0
        self._last_s: dict[str, float] = {}
        self.reasons: Counter[str] = Counter()
        self.last_s = 0.0

    def answered(self, at_s: float, model: str, *, is_failed_over: bool) -> None:
        """A request was answered by `model`."""
        second = int(at_s)
        counts = self._answers.get(second)
        if counts is None:
            counts = self._answers[second] = Counter()
        counts[model] += 1
        self._requests += 1
        self._failed_over += is_failed_over
        self._last_s[model] = self.last_s = at_s

    def failed(self, at_s: float, reason: str) -> None:
        """A request failed, because of `reason`."""
        self._failed[int(at_s)] += 1
        self._requests += 1
        self._failures += 1
        if reason in self.reasons or len(self.reasons) < _MOST_REASONS:
            self.reasons[reason] += 1

    @property
    def tally(self) -> Tally:
        """The counts so far."""
        return Tally(self._requests, self._failures, self._failed_over)

    def last_answer_s(self, model: str) -> float | None:
        """When `model` answered last; None: never."""
        return self._last_s.get(model)

    def answers_since(self, second: int) -> Counter[str]:
        """Answers by model, from a second on."""
        found: Counter[str] = Counter()
        for each, counts in list(self._answers.items()):
            if each >= second:
                found.update(counts.copy())
        return found

    def first_reason(self) -> str:
        """The reason of most failures; nothing when there was none."""
        return self.reasons.most_common(1)[0][0] if self.reasons else ""

    def seconds(self) -> Sequence[TrafficSecond]:
        """Every second from the first with traffic to the last, those without any included."""
        known = self._answers.keys() | self._failed.keys()
        if not known:
            return ()
        empty: Counter[str] = Counter()
        return tuple(
            TrafficSecond(second, dict(self._answers.get(second, empty)), self._failed[second])
            for second in range(min(known), max(known) + 1)
        )
