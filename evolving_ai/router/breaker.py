"""One breaker for each target: after failures in a row it is left alone for a while, then tried by one request.

States are a table, transitions pure functions; time comes in as an argument. What says nothing about the target (a
request that it refused with reason, a client that left) moves nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from evolving_ai.domain.outcome import AttemptResult

__all__ = ["BreakerState", "Breakers", "Evidence", "TargetHealth", "evidence_of"]

_FAILURES_TO_OPEN = 5
_OPEN_FOR_S = 5.0
_OPEN_AT_MOST_S = 60.0
_MOST_OPENINGS = 10
"""Counted no further: the pause has reached its limit long before, and powers of two must stay numbers."""
_PROBE_FOR_S = 30.0
_KEY_OPEN_FOR_S = 60.0


class BreakerState(StrEnum):
    """Closed: used. Open: left alone. Half-open: one request is trying."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Evidence(StrEnum):
    """What the end of an attempt says about the target."""

    SUCCESS = "success"
    FAILURE = "failure"
    CREDENTIALS = "credentials"  # our key is refused: every request would be
    NONE = "none"


_EVIDENCE: Mapping[AttemptResult, Evidence] = MappingProxyType(
    {
        AttemptResult.OK: Evidence.SUCCESS,
        AttemptResult.REFUSED: Evidence.SUCCESS,
        AttemptResult.TIMEOUT: Evidence.FAILURE,
        AttemptResult.CONNECTION: Evidence.FAILURE,
        AttemptResult.RATE_LIMITED: Evidence.FAILURE,
        AttemptResult.SERVER_ERROR: Evidence.FAILURE,
        AttemptResult.MALFORMED: Evidence.FAILURE,
        AttemptResult.CREDENTIALS: Evidence.CREDENTIALS,
        AttemptResult.CANCELLED: Evidence.NONE,
        AttemptResult.UNAVAILABLE: Evidence.NONE,
    }
)


def evidence_of(result: AttemptResult) -> Evidence:
    """What a result says about the target."""
    return _EVIDENCE[result]


@dataclass(frozen=True, slots=True)
class TargetHealth:
    """Where one target stands. `until_s`: when an open or half-open breaker may be tried (again)."""

    state: BreakerState = BreakerState.CLOSED
    failures: int = 0
    openings: int = 0
    until_s: float = 0.0

    def after(self, evidence: Evidence, now_s: float) -> "TargetHealth":
        """The health after an attempt ended."""
        if evidence is Evidence.NONE:
            # The probe said nothing: the next request may try.
            return replace(self, until_s=now_s) if self.state is BreakerState.HALF_OPEN else self
        if evidence is Evidence.SUCCESS:
            return TargetHealth()
        openings = min(self.openings + 1, _MOST_OPENINGS)
        if evidence is Evidence.CREDENTIALS:
            return TargetHealth(BreakerState.OPEN, self.failures + 1, openings, now_s + _KEY_OPEN_FOR_S)
        failures = self.failures + 1
        if self.state is BreakerState.CLOSED and failures < _FAILURES_TO_OPEN:
            return replace(self, failures=failures)
        if self.state is BreakerState.OPEN:
            return replace(self, failures=failures)  # a request from before it opened
        pause_s = min(_OPEN_FOR_S * 2**self.openings, _OPEN_AT_MOST_S)
        return TargetHealth(BreakerState.OPEN, failures, openings, now_s + pause_s)

    def is_available(self, now_s: float) -> bool:
        """Whether a request may be sent."""
        return self.state is BreakerState.CLOSED or now_s >= self.until_s

    def taken(self, now_s: float) -> "TargetHealth":
        """The health once an available target was chosen for a request."""
        if self.state is BreakerState.CLOSED:
            return self
        return replace(self, state=BreakerState.HALF_OPEN, until_s=now_s + _PROBE_FOR_S)


_HEALTHY = TargetHealth()


class Breakers:
    """The health of all targets as one replica sees it. Targets that never failed take no room."""

    def __init__(self) -> None:
        self._health: dict[str, TargetHealth] = {}

    def health(self, target: str) -> TargetHealth:
        """Where a target stands."""
        return self._health.get(target, _HEALTHY)

    def is_available(self, target: str, now_s: float) -> bool:
        """Whether a request may be sent there."""
        health = self._health.get(target)
        return health is None or health.is_available(now_s)

    def take(self, target: str, now_s: float) -> None:
        """A request is about to be sent there."""
        health = self._health.get(target)
        if health is not None:
            self._health[target] = health.taken(now_s)

    def tell(self, target: str, result: AttemptResult, now_s: float) -> None:
        """A request to there has ended."""
        health = self._health.get(target)
        if health is None and result is AttemptResult.OK:
            return
        after = (health or _HEALTHY).after(_EVIDENCE[result], now_s)
        if after == _HEALTHY:
            self._health.pop(target, None)
        else:
            self._health[target] = after
