"""`/api/v1/rollouts`: a DNA is tried on a part of the traffic, and promoted or rolled back by what comes of it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from evolving_ai.domain.identity import Principal
from evolving_ai.rollout.plan import RolloutPlan
from evolving_ai.serving.api.principal import current_principal
from evolving_ai.wiring.rollout_records import RolloutRecord

__all__ = [
    "ExchangeView",
    "RolloutList",
    "RolloutReason",
    "RolloutRequest",
    "RolloutServices",
    "RolloutView",
    "TransitionView",
    "VersionView",
    "rollouts_router",
]


class RolloutRequest(BaseModel):
    """Which DNA is to be tried (a branch, a hash prefix, or one of them with ~n), and how (see the README's plan)."""

    model_config = ConfigDict(extra="forbid")

    ref: str = Field(min_length=1, max_length=200)
    plan: dict[str, Any] = Field(default_factory=dict)
    reason: str = Field(default="", max_length=500)


class RolloutReason(BaseModel):
    """Why."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(default="", max_length=500)


class VersionView(BaseModel):
    """A DNA."""

    commit: str
    dna_hash: str


class TransitionView(BaseModel):
    """A step: from then on, the candidate decides `share` of the requests."""

    at: str
    state: str
    share: float | None
    reason: str
    actor: str
    evidence: dict[str, Any]


class ExchangeView(BaseModel):
    """How long it took from seeing the harm until every replica knew."""

    breach_at: str
    told_at: str
    seconds: float


class RolloutView(BaseModel):
    """Where a rollout stands.

    `state`: gating, awaiting_approval, canary, promoted, rolled_back, refused, stopped. `rails`: the guard rails;
    `harm` and `proof` are e-values, that the candidate is worse than its margin, and that it is not. `history` (of a
    single rollout only): how they came about.
    """

    id: str
    state: str
    reason: str
    actor: str
    started: str
    ended: str | None
    candidate: VersionView
    incumbent: VersionView
    plan: dict[str, Any]
    stage: int | None
    share: float | None
    requests: dict[str, int]
    gates: list[dict[str, Any]]
    rails: list[dict[str, Any]]
    history: list[dict[str, Any]]
    transitions: list[TransitionView]
    exchange: ExchangeView | None


class RolloutList(BaseModel):
    """All rollouts, the newest first."""

    rollouts: list[RolloutView]


class RolloutServices(Protocol):
    """What these routes need."""

    async def start(self, ref: str, plan: RolloutPlan, *, actor: str, reason: str) -> RolloutRecord: ...

    async def approve(self, rollout_id: str, *, actor: str) -> RolloutRecord: ...

    async def stop(self, rollout_id: str, *, actor: str, reason: str) -> RolloutRecord: ...

    def find(self, rollout_id: str) -> RolloutRecord: ...

    def all(self) -> Sequence[RolloutRecord]: ...


def rollouts_router(services: RolloutServices) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1/rollouts", tags=["rollouts"])

    @router.post("", status_code=202)
    async def start(
        request: RolloutRequest, principal: Annotated[Principal, Depends(current_principal)]
    ) -> RolloutView:
        """Start a rollout; its gates are asked in the background. 409 while another one is under way."""
        plan = RolloutPlan.from_json(request.plan)
        return _view(await services.start(request.ref, plan, actor=principal.key_id, reason=request.reason))

    @router.get("")
    async def rollouts() -> RolloutList:
        """All rollouts, the newest first."""
        return RolloutList(rollouts=[_view(record) for record in await asyncio.to_thread(services.all)])

    @router.get("/{rollout_id}")
    async def rollout(rollout_id: str) -> RolloutView:
        """Where a rollout stands."""
        record = await asyncio.to_thread(services.find, rollout_id)
        return _view(record, (record.statistics or {}).get("history", ()))

    @router.post("/{rollout_id}/approve")
    async def approve(rollout_id: str, principal: Annotated[Principal, Depends(current_principal)]) -> RolloutView:
        """Let a rollout go on that waits for an operator."""
        return _view(await services.approve(rollout_id, actor=principal.key_id))

    @router.post("/{rollout_id}/stop")
    async def stop(
        rollout_id: str, request: RolloutReason, principal: Annotated[Principal, Depends(current_principal)]
    ) -> RolloutView:
        """End a rollout: the live DNA decides everything again."""
        return _view(await services.stop(rollout_id, actor=principal.key_id, reason=request.reason))

    return router


def _view(record: RolloutRecord, history: Sequence[Mapping[str, Any]] = ()) -> RolloutView:
    steps = [*record.transitions, *([] if record.intent is None else [record.intent])]
    exchange = record.exchange
    return RolloutView(
        id=record.id,
        state=record.state.value,
        reason=steps[-1].reason,
        actor=record.actor,
        started=record.started,
        ended=record.ended,
        candidate=VersionView.model_validate(record.candidate, from_attributes=True),
        incumbent=VersionView.model_validate(record.incumbent, from_attributes=True),
        plan=record.plan.to_json(),
        stage=record.stage,
        share=record.share,
        requests=dict(record.requests or {"canary": 0, "control": 0}),
        gates=[dict(gate) for gate in record.gates],
        rails=[dict(rail) for rail in record.rails],
        history=[dict(point) for point in history],
        transitions=[TransitionView.model_validate(step, from_attributes=True) for step in record.transitions],
        exchange=None if exchange is None else ExchangeView(**exchange),
    )
