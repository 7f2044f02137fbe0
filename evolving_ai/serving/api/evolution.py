"""`/api/v1/evolution`: campaigns are started, looked at, asked to stop, and their winners rolled back.

The rule it keeps: whatever reads a ledger or starts a process runs in a thread, so that the API answers others
meanwhile. Who may do what is decided before, by the table of access.
"""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from evolving_ai.domain.identity import Principal
from evolving_ai.errors import CampaignError, RequestError, UsageError
from evolving_ai.serving.api.principal import current_principal
from evolving_ai.wiring.campaign_jobs import Beginning, CampaignJobs
from evolving_ai.wiring.campaign_request import CampaignRequest
from evolving_ai.wiring.campaign_status import CampaignStatus

__all__ = [
    "CampaignList",
    "CampaignView",
    "EvolutionServices",
    "RolledBackCampaign",
    "StartRequest",
    "StartedCampaign",
    "evolution_router",
]

_LOOK_EVERY_S = 0.1


class StartRequest(BaseModel):
    """What a campaign shall do; everything may be left out."""

    model_config = ConfigDict(extra="forbid")

    target_fitness: float | None = Field(
        default=None, ge=0, le=1, description="End when a candidate has this fitness_score; the fittest then wins."
    )
    max_iterations: int | None = Field(default=None, ge=1, le=1_000_000, description="Candidates evaluated at most.")
    campaign: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="A campaign file of experiments/campaigns, or the absolute path of one. Default: evolve what is "
        "live on the outcomes that the platform serves from.",
    )
    seed: int | None = Field(default=None, ge=0, lt=2**31, description="The same seed finds the same archive.")


class StartedCampaign(BaseModel):
    """A campaign that was started."""

    id: str
    state: str


class CampaignView(BaseModel):
    """Where a campaign stands.

    `state`: created, running, stopped, target_reached, budget_exhausted (which is no failure), failed, interrupted
    (its process died: it can be resumed), unreadable. `fitness_score`: the highest utility of a candidate so far over
    that of the oracle, 0 to 1. `winner`: the commit, once the campaign is over.
    """

    id: str
    state: str
    reason: str
    iterations: int
    max_iterations: int
    best: dict[str, float]
    fitness_score: float | None
    target_fitness: float | None
    winner: str | None
    winner_dna_hash: str | None
    elapsed_s: float
    updated: str | None
    is_stop_requested: bool


class CampaignList(BaseModel):
    """All campaigns, the last to change first."""

    campaigns: list[CampaignView]


class RolledBackCampaign(BaseModel):
    """The DNA that is live now that a campaign's is not any more."""

    id: str
    live: dict[str, Any]


class EvolutionServices(Protocol):
    """What these routes need."""

    @property
    def campaigns(self) -> CampaignJobs: ...

    def live_commit(self) -> str: ...

    def training_table(self) -> Path | None: ...

    def candidate_commit(self) -> str | None: ...

    async def stop_rollout(self, principal: Principal, reason: str) -> dict[str, Any]: ...

    async def roll_back(self, principal: Principal, reason: str) -> dict[str, Any]: ...


def evolution_router(services: EvolutionServices) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1/evolution", tags=["evolution"])

    @router.post("/start", status_code=202)
    async def start(request: StartRequest) -> StartedCampaign:
        """Start a campaign in the background; answered when it has begun, within seconds."""
        try:
            started = await _started(services, request)
        except CampaignError as exc:  # of this installation as it is now, not of the request, nor a defect
            raise RequestError("conflict", f"the campaign cannot begin: {exc}") from exc
        return StartedCampaign(id=started.id, state=started.state)

    @router.get("/status/{campaign_id}")
    async def status(campaign_id: str) -> CampaignView:
        """Where a campaign stands."""
        return _view(await asyncio.to_thread(services.campaigns.status, campaign_id))

    @router.get("/campaigns")
    async def campaigns() -> CampaignList:
        """All campaigns, the last to change first."""
        return CampaignList(campaigns=[_view(one) for one in await asyncio.to_thread(services.campaigns.list)])

    @router.post("/stop/{campaign_id}")
    async def stop(campaign_id: str) -> CampaignView:
        """Ask a campaign to end with its best so far; no change when it does not run."""
        return _view(await asyncio.to_thread(services.campaigns.stop, campaign_id))

    @router.post("/rollback/{campaign_id}")
    async def rollback(
        campaign_id: str, principal: Annotated[Principal, Depends(current_principal)]
    ) -> RolledBackCampaign:
        """Take a campaign's winner back, from a rollout or from being live; refused when it is in neither."""
        return RolledBackCampaign(id=campaign_id, live=await _take_back(services, principal, campaign_id))

    return router


async def _started(services: EvolutionServices, request: StartRequest) -> CampaignStatus:
    """Waits outside of any thread: twenty that begin at once would leave none to whoever else asks control."""
    beginning = await asyncio.to_thread(_launch, services, request)
    while (status := await asyncio.to_thread(services.campaigns.begun, beginning)) is None:  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(_LOOK_EVERY_S)
    return status


def _launch(services: EvolutionServices, request: StartRequest) -> Beginning:
    wishes = CampaignRequest(services.live_commit(), services.training_table(), **request.model_dump())
    return services.campaigns.launch(wishes)


async def _take_back(services: EvolutionServices, principal: Principal, campaign_id: str) -> dict[str, Any]:
    """Out of the rollout, where the winner is its candidate, else out of being live; what is live then."""
    reason = f"rollback of campaign {campaign_id}"
    candidate = await asyncio.to_thread(services.candidate_commit)
    if candidate is not None and await asyncio.to_thread(services.campaigns.has_led_to, campaign_id, candidate):
        return await services.stop_rollout(principal, reason)
    live = await asyncio.to_thread(services.live_commit)
    await asyncio.to_thread(services.campaigns.check_origin, campaign_id, live)
    try:
        return await services.roll_back(principal, reason)
    except UsageError as exc:
        raise RequestError("conflict", str(exc)) from exc


def _view(status: CampaignStatus) -> CampaignView:
    return CampaignView(**asdict(status))
