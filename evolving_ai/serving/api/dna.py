"""`/api/v1/dna`: what is live, promotion and rollback."""

from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from evolving_ai.domain.identity import Principal
from evolving_ai.serving.api.principal import current_principal
from evolving_ai.serving.control.live import live_view
from evolving_ai.wiring.live_record import LiveRecord

__all__ = [
    "LiveDnaServices",
    "LiveHistory",
    "LiveVersionView",
    "LiveView",
    "PromoteRequest",
    "RollbackRequest",
    "dna_router",
]


class PromoteRequest(BaseModel):
    """Which DNA is to be live: a branch, a hash prefix, or one of them with ~n."""

    model_config = ConfigDict(extra="forbid")

    ref: str = Field(min_length=1, max_length=200)
    reason: str = Field(default="", max_length=500)


class RollbackRequest(BaseModel):
    """Why the DNA that was live before is to be live again."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(default="", max_length=500)


class LiveView(BaseModel):
    """The live DNA with the snapshot that it decides with."""

    generation: int
    commit: str
    dna_hash: str
    snapshot_hash: str
    since: str
    actor: str
    reason: str
    genes: dict[str, Any]


class LiveVersionView(BaseModel):
    """DNA that is or was live."""

    generation: int
    commit: str
    dna_hash: str
    snapshot_hash: str
    since: str
    actor: str
    reason: str


class LiveHistory(BaseModel):
    """Everything that was live, the newest first."""

    versions: list[LiveVersionView]


class LiveDnaServices(Protocol):
    """What these routes need."""

    def live_record(self) -> LiveRecord: ...

    async def promote(self, ref: str, *, actor: str, reason: str) -> LiveRecord: ...

    async def roll_back(self, *, actor: str, reason: str) -> LiveRecord: ...


def dna_router(services: LiveDnaServices) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1/dna", tags=["dna"])

    @router.get("/live")
    async def live() -> LiveView:
        """The DNA that decides requests now."""
        return LiveView(**live_view(services.live_record()))

    @router.get("/history")
    async def history() -> LiveHistory:
        """What was live before, the newest first."""
        record = services.live_record()
        versions = (record.current, *record.previous)
        return LiveHistory(versions=[LiveVersionView.model_validate(v, from_attributes=True) for v in versions])

    @router.post("/promote")
    async def promote(request: PromoteRequest, principal: Annotated[Principal, Depends(current_principal)]) -> LiveView:
        """Make a DNA live on every replica, at once."""
        record = await services.promote(request.ref, actor=principal.key_id, reason=request.reason)
        return LiveView(**live_view(record))

    @router.post("/rollback")
    async def rollback(
        request: RollbackRequest, principal: Annotated[Principal, Depends(current_principal)]
    ) -> LiveView:
        """Make the DNA that was live before live again, on every replica."""
        return LiveView(**live_view(await services.roll_back(actor=principal.key_id, reason=request.reason)))

    return router
