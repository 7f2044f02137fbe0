"""`/api/v1/system`: health, metrics, configuration."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Protocol

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from evolving_ai.domain.identity import Principal
from evolving_ai.errors import RequestError
from evolving_ai.serving.api.principal import current_principal

__all__ = [
    "LiveParts",
    "SystemConfig",
    "SystemConfigView",
    "SystemHealth",
    "SystemMetrics",
    "SystemServices",
    "system_router",
]


class SystemConfig(BaseModel):
    """What can be changed while the platform runs. Left out: unchanged. Starting again reads `config.yaml` again."""

    model_config = ConfigDict(extra="forbid")

    aliases: dict[str, list[str]] | None = Field(default=None, description="All aliases: names of targets or models.")


class SystemConfigView(BaseModel):
    """The configuration in force."""

    version: int
    aliases: dict[str, list[str]]
    targets: list[str]


class LiveParts(BaseModel):
    """What a replica decides with: hashes of the DNA and of the snapshot."""

    generation: int
    dna: str
    snapshot: str


class SystemHealth(BaseModel):
    """A replica's own view. `degraded`: it serves, and control is away; `control`: whether that answers."""

    status: Literal["ok", "degraded", "starting"]
    version: str
    replica: str
    live: LiveParts | None
    control: bool
    is_replay: bool


class SystemMetrics(BaseModel):
    """Counts over all replicas since control started, and each replica's own."""

    totals: dict[str, float]
    replicas: list[dict[str, Any]]
    outcomes: dict[str, int]
    generation: int


class SystemServices(Protocol):
    """What these routes need."""

    async def metrics(self) -> Mapping[str, Any]: ...

    def config(self) -> Mapping[str, Any]: ...

    async def configure(self, aliases: Mapping[str, list[str]] | None, *, actor: str) -> Mapping[str, Any]: ...


def system_router(services: SystemServices) -> APIRouter:
    """The routes; health only for the OpenAPI document, because a replica answers that itself."""
    router = APIRouter(prefix="/api/v1/system", tags=["system"])

    @router.get("/health")
    async def health() -> SystemHealth:
        """Whether the replica that was asked serves, and on what; 503 while it starts."""
        raise RequestError("not_found", "this route is answered by the gateway, not by control")

    @router.get("/metrics", response_model=SystemMetrics)
    async def metrics(request: Request) -> Any:
        """JSON, or Prometheus' text format where `Accept` asks for text/plain."""
        found = await services.metrics()
        if "text/plain" in request.headers.get("accept", ""):
            return Response(_prometheus(found), media_type="text/plain; version=0.0.4")
        return found

    @router.get("/config")
    async def config() -> SystemConfigView:
        """The configuration in force."""
        return SystemConfigView(**services.config())

    @router.post("/config")
    async def configure(
        request: SystemConfig, principal: Annotated[Principal, Depends(current_principal)]
    ) -> SystemConfigView:
        """Change the configuration on every replica, at once; it stands in the audit log."""
        return SystemConfigView(**await services.configure(request.aliases, actor=principal.key_id))

    return router


def _prometheus(metrics: Mapping[str, Any]) -> str:
    """The text format 0.0.4: all lines of one name stand together."""
    lines = ["# TYPE evolving_ai_dna_generation gauge", f"evolving_ai_dna_generation {metrics['generation']}"]
    by_name: dict[str, list[str]] = {}
    for replica in metrics["replicas"]:
        for name, value in replica["stats"].items():
            label = replica["replica"].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            by_name.setdefault(name, []).append(f'evolving_ai_replica_{name}{{replica="{label}"}} {value!r}')
    for name, of_replicas in by_name.items():
        lines += [f"# TYPE evolving_ai_replica_{name} {'gauge' if name == 'in_flight' else 'counter'}", *of_replicas]
    for name, value in metrics["outcomes"].items():
        lines += [f"# TYPE evolving_ai_outcomes_{name} gauge", f"evolving_ai_outcomes_{name} {value}"]
    return "\n".join(lines) + "\n"
