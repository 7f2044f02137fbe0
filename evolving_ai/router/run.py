"""One request on its way through its attempts: what was decided, tried and spent so far."""

import math
from dataclasses import dataclass, field

from evolving_ai.domain.money import format_usd
from evolving_ai.domain.outcome import Attempt, AttemptResult, Outcome
from evolving_ai.domain.rollout import Assignment
from evolving_ai.domain.target import DeploymentTarget
from evolving_ai.router.catalog import Selection
from evolving_ai.router.chat_request import ChatRequest
from evolving_ai.router.ports import DecidedPolicy, Usage

__all__ = ["Run"]

_SHORT = 12


@dataclass(slots=True)
class Run:
    """Mutable, and belongs to one request. `started_s` of an attempt is monotonic."""

    request: ChatRequest
    selection: Selection
    decided: DecidedPolicy
    prompt_hash: str
    deadline_s: float
    time_s: float
    assignment: Assignment | None = None
    attempts: list[Attempt] = field(default_factory=list)
    target: DeploymentTarget | None = None
    first_byte_s: float | None = None
    finish_reason: str | None = None
    score: float | None = None
    answer: str | None = None

    def note(
        self,
        target: DeploymentTarget,
        result: AttemptResult,
        *,
        started_s: float,
        now_s: float,
        status: int | None,
        usage: Usage,
        cost_nano_usd: int,
        first_byte_s: float | None = None,
    ) -> None:
        """Remember how an attempt ended."""
        attempt = Attempt(
            target.name,
            result,
            status,
            first_byte_s,
            now_s - started_s,
            usage.input_tokens,
            usage.output_tokens,
            cost_nano_usd,
        )
        self.attempts.append(attempt)

    @property
    def cost_nano_usd(self) -> int:
        return sum(attempt.cost_nano_usd for attempt in self.attempts)

    def headers(self, *, cost: bool, extra_attempts: int = 0) -> list[tuple[bytes, bytes]]:
        """The headers of interfaces that every answer carries; `cost` where it is known already."""
        decision = self.decided.decision
        headers = [
            (b"x-request-id", self.request.decision_id.encode()),
            (b"x-evolving-dna", decision.dna_hash[:_SHORT].encode()),
            (b"x-evolving-snapshot", decision.snapshot_hash[:_SHORT].encode()),
            (b"x-evolving-attempts", b"%d" % (len(self.attempts) + extra_attempts)),
        ]
        if self.target is not None:
            headers.append((b"x-evolving-target", self.target.name.encode()))
        if cost:
            headers.append((b"x-evolving-cost-usd", format_usd(self.cost_nano_usd).encode()))
        return headers

    def outcome(self, *, status: int, error_code: str | None, now_s: float) -> Outcome:
        """What is to be recorded, now that the request is over."""
        request, decision = self.request, self.decided.decision
        last = self.attempts[-1] if self.attempts else None
        return Outcome(
            decision_id=request.decision_id,
            time_s=self.time_s,
            tenant=request.principal.tenant,
            key_id=request.principal.key_id,
            requested_model=request.model,
            dna_hash=decision.dna_hash,
            snapshot_hash=decision.snapshot_hash,
            seed=self.decided.seed,
            models=decision.models,
            qualities=tuple(decision.qualities),
            costs_usd=tuple(decision.costs_usd),
            score_values=tuple(decision.score_values),
            chosen=decision.chosen,
            propensity=decision.propensity,
            relaxed=decision.relaxed,
            features=self.decided.features,
            prompt_hash=self.prompt_hash,
            attempts=tuple(self.attempts),
            target=None if self.target is None else self.target.name,
            is_stream=request.is_stream,
            status=status,
            error_code=error_code,
            finish_reason=self.finish_reason,
            input_tokens=0 if last is None else last.input_tokens,
            output_tokens=0 if last is None else last.output_tokens,
            cost_nano_usd=self.cost_nano_usd,
            first_byte_s=self.first_byte_s,
            latency_s=now_s - request.arrived_s,
            overhead_s=max(0.0, now_s - request.arrived_s - math.fsum(a.latency_s for a in self.attempts)),
            score=self.score,
            tags=request.demands.tags,
            content=self.answer,
            assignment=self.assignment,
        )
