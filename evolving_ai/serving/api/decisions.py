"""`/api/v1/ai/feedback` and `/api/v1/ai/decisions`: what is said of a decision, and why it was made."""

import asyncio
import math
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from evolving_ai._common.clock import Clock
from evolving_ai.domain.identity import Principal
from evolving_ai.domain.money import format_usd
from evolving_ai.domain.outcome import Feedback
from evolving_ai.errors import RequestError
from evolving_ai.serving.api.principal import current_principal, tenant_seen
from evolving_ai.stores.ports import OutcomeStore, RecordedOutcome

__all__ = [
    "AssignmentView",
    "AttemptView",
    "CandidateView",
    "DecisionServices",
    "DecisionView",
    "FeedbackRequest",
    "FeedbackView",
    "decisions_router",
]


class FeedbackRequest(BaseModel):
    """How good an answer was. The last feedback about a decision stands; the same once more is no change."""

    model_config = ConfigDict(extra="forbid")

    decision_id: str = Field(min_length=1, max_length=64)
    score: float = Field(ge=0, le=1)
    comment: str | None = Field(default=None, max_length=2000)


class FeedbackView(BaseModel):
    """The feedback that stands."""

    decision_id: str
    score: float
    comment: str | None


class CandidateView(BaseModel):
    """A model as the policy saw it. `score` None: it was not allowed."""

    model: str
    quality: float
    cost_usd: float
    score: float | None
    is_chosen: bool


class AttemptView(BaseModel):
    """One call to one target."""

    target: str
    result: str
    status: int | None
    first_byte_s: float | None
    latency_s: float
    input_tokens: int
    output_tokens: int
    cost_usd: str


class AssignmentView(BaseModel):
    """The request's arm of a rollout; `share` is the probability with which it was the canary."""

    rollout: str
    is_canary: bool
    share: float


class DecisionView(BaseModel):
    """A decision explained: what was known, what was chosen with which propensity, what came of it."""

    decision_id: str
    time_s: float
    tenant: str
    key_id: str
    requested_model: str
    dna_hash: str
    snapshot_hash: str
    seed: int
    candidates: list[CandidateView]
    propensity: float
    relaxed: list[str]
    prompt_hash: str
    attempts: list[AttemptView]
    target: str | None
    is_stream: bool
    status: int
    error_code: str | None
    finish_reason: str | None
    input_tokens: int
    output_tokens: int
    cost_usd: str
    first_byte_s: float | None
    latency_s: float
    overhead_s: float
    score: float | None
    tags: list[str]
    content: str | None
    assignment: AssignmentView | None
    feedback: FeedbackView | None


class DecisionServices(Protocol):
    """What these routes need."""

    @property
    def outcomes(self) -> OutcomeStore: ...

    @property
    def clock(self) -> Clock: ...


def decisions_router(services: DecisionServices) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1/ai", tags=["ai"])

    @router.post("/feedback")
    async def feedback(
        request: FeedbackRequest, principal: Annotated[Principal, Depends(current_principal)]
    ) -> FeedbackView:
        """Say how good an answer was: the system learns from it."""
        said = Feedback(
            request.decision_id, principal.tenant, request.score, request.comment, services.clock.now().timestamp()
        )
        if not await asyncio.to_thread(services.outcomes.feedback, said):
            raise _unknown(request.decision_id)
        return FeedbackView(**request.model_dump())

    @router.get("/decisions/{decision_id}")
    async def explain(decision_id: str, principal: Annotated[Principal, Depends(current_principal)]) -> DecisionView:
        """Explain a decision."""
        found = await asyncio.to_thread(services.outcomes.find, decision_id, tenant_seen(principal))
        if found is None:
            raise _unknown(decision_id)
        return _view(found)

    return router


def _unknown(decision_id: str) -> RequestError:
    """The same words whether it does not exist or belongs to another tenant."""
    return RequestError(
        "decision_not_found",
        f"there is no decision {decision_id[:64]!r}",
        hint="expected the x-request-id of an answer that this key's tenant got; it is known within a second",
        param="decision_id",
    )


def _view(found: RecordedOutcome) -> DecisionView:
    outcome, feedback = found.outcome, found.feedback
    columns = zip(outcome.models, outcome.qualities, outcome.costs_usd, outcome.score_values, strict=True)
    candidates = [
        CandidateView(
            model=model,
            quality=quality,
            cost_usd=cost,
            score=None if score == -math.inf else score,
            is_chosen=place == outcome.chosen,
        )
        for place, (model, quality, cost, score) in enumerate(columns)
    ]
    fields: dict[str, Any] = {
        name: getattr(outcome, name) for name in DecisionView.model_fields if hasattr(outcome, name)
    }
    fields["attempts"] = [
        AttemptView(
            cost_usd=format_usd(attempt.cost_nano_usd),
            **{name: getattr(attempt, name) for name in AttemptView.model_fields if name != "cost_usd"},
        )
        for attempt in outcome.attempts
    ]
    if outcome.assignment is not None:
        fields["assignment"] = AssignmentView.model_validate(outcome.assignment, from_attributes=True)
    said = None
    if feedback is not None:
        said = FeedbackView(decision_id=feedback.decision_id, score=feedback.score, comment=feedback.comment)
    return DecisionView(
        **{**fields, "relaxed": list(outcome.relaxed), "tags": list(outcome.tags)},
        candidates=candidates,
        cost_usd=format_usd(outcome.cost_nano_usd),
        feedback=said,
    )
