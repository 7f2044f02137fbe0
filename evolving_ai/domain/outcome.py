"""Outcomes: what is known about a request once it is over, and what is said about it later.

Prompts and answers are not part of it, unless the tenant has switched `record_content` on.
"""

from dataclasses import dataclass
from enum import StrEnum

from evolving_ai.domain.rollout import Assignment

__all__ = ["Attempt", "AttemptResult", "Feedback", "Outcome"]


class AttemptResult(StrEnum):
    """How a call to one target ended."""

    OK = "ok"
    TIMEOUT = "timeout"
    CONNECTION = "connection"  # refused, reset, cut before the end
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    CREDENTIALS = "credentials"  # the provider refused our key
    REFUSED = "refused"  # the provider refused the request itself: no other target would help
    MALFORMED = "malformed"  # the answer is not what the dialect says
    CANCELLED = "cancelled"  # the client went away
    UNAVAILABLE = "unavailable"  # never sent: breaker open, no key in the environment, no price


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call to one target. Latencies in seconds from its start; None where there was nothing to measure."""

    target: str
    result: AttemptResult
    status: int | None
    first_byte_s: float | None
    latency_s: float
    input_tokens: int
    output_tokens: int
    cost_nano_usd: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request that was decided.

    `models`, `qualities`, `costs_usd` and `score_values` are the decision's columns (`domain.decision.Decision`);
    `score_values` is minus infinity for a model that was not allowed. `features` is what the policy saw, as
    `decision.features` encodes it; `prompt_hash` is the SHA-256 of the last user message. `score` is a quality signal
    that came with the answer (0 to 1; None: none came). `error_code` is the code of `domain.problem` when the request
    failed. `time_s` is seconds since the epoch, `latency_s` from the request's arrival to its last byte,
    `overhead_s` what of it was spent outside the attempts. `assignment` is its arm of the rollout that ran then.
    """

    decision_id: str
    time_s: float
    tenant: str
    key_id: str
    requested_model: str
    dna_hash: str
    snapshot_hash: str
    seed: int
    models: tuple[str, ...]
    qualities: tuple[float, ...]
    costs_usd: tuple[float, ...]
    score_values: tuple[float, ...]
    chosen: int
    propensity: float
    relaxed: tuple[str, ...]
    features: bytes
    prompt_hash: str
    attempts: tuple[Attempt, ...]
    target: str | None
    is_stream: bool
    status: int
    error_code: str | None
    finish_reason: str | None
    input_tokens: int
    output_tokens: int
    cost_nano_usd: int
    first_byte_s: float | None
    latency_s: float
    overhead_s: float
    score: float | None
    tags: tuple[str, ...]
    content: str | None = None
    assignment: Assignment | None = None


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a caller said about a decision: `score` 0 to 1. The last one of a tenant about a decision stands."""

    decision_id: str
    tenant: str
    score: float
    comment: str | None
    time_s: float
