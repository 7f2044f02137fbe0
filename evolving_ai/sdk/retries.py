"""When a call is made again.

A call that was never sent may always be. One that was sent is made again when nothing came back and it only reads,
or when the platform itself says that asking again makes sense; but what creates or changes something is then only
made again after a refusal (429), because only that is known to have changed nothing. A stream that has begun is never
made again.
"""

from dataclasses import dataclass
from enum import Enum

from evolving_ai._common.pause import spread
from evolving_ai.sdk.errors import ApiError

__all__ = ["Effect", "Failure", "RetryPolicy"]

_FIRST_WAIT_S = 0.5
_LONGEST_BACKOFF_S = 8.0
_LONGEST_OBEYED_S = 60.0
"""A platform that asks for more is not waited for: the caller decides."""
_RETRYABLE = frozenset({429, 502, 503, 504})


class Effect(Enum):
    """What a call does to the platform."""

    READS = "reads"
    COSTS = "costs"  # an answer of a model, or a change that is the same when it is made twice
    CHANGES = "changes"  # made twice it is not what it is made once


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt that failed: what is raised when it was the last, and what is known about trying again.

    `was_sent`: the platform may have seen the request. `should_retry` is the answer's `x-should-retry`; None: it
    said nothing.
    """

    error: ApiError
    was_sent: bool
    should_retry: bool | None = None


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """At most `max_retries` further attempts."""

    max_retries: int

    def wait_s(self, failure: Failure, attempt: int, effect: Effect) -> float | None:
        """Seconds to wait before another attempt after the one numbered `attempt` (from 0); None: give up."""
        if attempt >= self.max_retries or not _may_repeat(failure, effect):
            return None
        asked = failure.error.retry_after_s
        if asked is not None:
            return asked if asked <= _LONGEST_OBEYED_S else None
        return spread(min(_FIRST_WAIT_S * 2.0**attempt, _LONGEST_BACKOFF_S))


def _may_repeat(failure: Failure, effect: Effect) -> bool:
    if not failure.was_sent:
        return True
    error = failure.error
    if error.status is None:
        return effect is Effect.READS
    if failure.should_retry is False or (effect is Effect.CHANGES and error.status != 429):
        return False
    return failure.should_retry is True or (error.status in _RETRYABLE and error.retry_after_s is not None)
