"""An application of the routes of keys and audit alone, over stores in memory, with the keys it serves as its keys."""

from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from evolving_ai._common.clock import Clock
from evolving_ai.domain.problem import PROBLEMS
from evolving_ai.errors import RequestError
from evolving_ai.security.api_keys import HashedKeyRing, KeyService
from evolving_ai.serving.api.audit import audit_router
from evolving_ai.serving.api.keys import keys_router
from evolving_ai.serving.gateway.problems import own_error
from evolving_ai.stores.inmemory.audit_log import InMemoryAuditLog
from evolving_ai.stores.inmemory.key_store import InMemoryKeyStore
from evolving_ai.stores.ports import AuditLog

__all__ = ["ADMIN_SECRET", "Services", "keys_app"]

ADMIN_SECRET = "evai_local-admin_" + "A" * 43


@dataclass
class Services:
    """What the routes need, and what they told."""

    clock: Clock
    audit: AuditLog
    keys: KeyService
    told: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def in_memory(cls, clock: Clock, admin_secret: str = ADMIN_SECRET) -> "Services":
        return cls(clock, InMemoryAuditLog(clock), KeyService(InMemoryKeyStore(), clock, admin_secret))

    async def on_keys_changed(self) -> None:
        self.told.append(self.keys.snapshot())


def keys_app(services: Services) -> FastAPI:
    """The application; it authenticates as the gateway does, and says errors as the control API does."""
    app = FastAPI(openapi_url=None)
    app.include_router(keys_router(services))
    app.include_router(audit_router(services))

    @app.middleware("http")
    async def authenticate(request: Request, call_next: Any) -> Any:
        secret = request.headers.get("authorization", "").removeprefix("Bearer ")
        request.scope["principal"] = HashedKeyRing(services.keys.snapshot(), services.clock).principal(secret)
        return await call_next(request)

    @app.exception_handler(RequestError)
    async def refuse(_request: Request, exc: RequestError) -> JSONResponse:
        return JSONResponse(own_error(exc, "req-1"), PROBLEMS[exc.code].status)

    return app
