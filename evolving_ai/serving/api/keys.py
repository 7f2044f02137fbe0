"""`/api/v1/keys`: creating, listing, rotating and revoking API keys.

An administrator manages the keys of its own tenant; one of the installation's own tenant, `local`, those of all. A key
of another tenant is answered as one that does not exist. A change stands in the audit log before it counts.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Protocol

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from evolving_ai._common.clock import Clock
from evolving_ai.domain.identity import Principal, Role
from evolving_ai.errors import RequestError
from evolving_ai.security.api_keys import TENANT_FORM, KeyService, NewKey, is_valid
from evolving_ai.security.audit_kinds import AuditKind
from evolving_ai.serving.api.permission import permitted_principal
from evolving_ai.serving.api.principal import tenant_seen
from evolving_ai.stores.ports import AuditLog, KeyLimits, KeyRecord

__all__ = [
    "CreateKeyRequest",
    "KeyServices",
    "KeyView",
    "KeysView",
    "NewKeyView",
    "RotateKeyRequest",
    "keys_router",
]

_MAX_DAYS = 36_500
_DEFAULT_GRACE_S = 3600.0
_NOT_TO_BE_KEPT = "no-store"

RoleName = Literal["viewer", "operator", "admin"]


class CreateKeyRequest(BaseModel):
    """Whose the key is to be, and what it may do."""

    model_config = ConfigDict(extra="forbid")

    tenant: str = Field(pattern=TENANT_FORM)
    role: RoleName
    name: str = Field(default="unnamed", min_length=1, max_length=100)
    expires_in_days: float | None = Field(default=None, gt=0, le=_MAX_DAYS, description="None: it does not expire.")
    requests_per_minute: int | None = Field(default=None, ge=1, le=10_000_000)
    max_concurrent: int | None = Field(default=None, ge=1, le=1_000_000)


class RotateKeyRequest(BaseModel):
    """How long the former secret is to stay valid, in seconds."""

    model_config = ConfigDict(extra="forbid")

    grace_s: float = Field(default=_DEFAULT_GRACE_S, ge=0, le=90 * 24 * 3600)


class KeyView(BaseModel):
    """A key without its secret. Times are ISO 8601 in UTC; `former_until`: until then the secret before is valid."""

    id: str
    name: str
    tenant: str
    role: RoleName
    is_valid: bool
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    rotated: datetime | None
    former_until: datetime | None
    requests_per_minute: int | None
    max_concurrent: int | None


class NewKeyView(KeyView):
    """A key with its secret: the only answer that shows it."""

    secret: str


class KeysView(BaseModel):
    """Keys, oldest first, also those that are no longer valid."""

    keys: list[KeyView]


class KeyServices(Protocol):
    """What these routes need."""

    @property
    def keys(self) -> KeyService: ...

    @property
    def audit(self) -> AuditLog: ...

    @property
    def clock(self) -> Clock: ...

    async def on_keys_changed(self) -> None: ...


def keys_router(services: KeyServices) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1/keys", tags=["keys"])
    desk = _KeyDesk(services)

    @router.post("", status_code=201)
    async def create(
        request: CreateKeyRequest, principal: Annotated[Principal, Depends(permitted_principal)], response: Response
    ) -> NewKeyView:
        """Create a key. Its secret is shown in this answer and never again."""
        response.headers["cache-control"] = _NOT_TO_BE_KEPT
        return await desk.create(request, principal)

    @router.get("")
    async def keys(
        principal: Annotated[Principal, Depends(permitted_principal)], tenant: str | None = None
    ) -> KeysView:
        """List keys, of one tenant or of all that this key may see."""
        return await asyncio.to_thread(desk.list_keys, principal, tenant)

    @router.post("/{key_id}/rotate")
    async def rotate(
        key_id: str,
        principal: Annotated[Principal, Depends(permitted_principal)],
        response: Response,
        request: RotateKeyRequest | None = None,
    ) -> NewKeyView:
        """Give a key a new secret; the former one stays valid for the grace. The key keeps its id and its budgets."""
        response.headers["cache-control"] = _NOT_TO_BE_KEPT
        return await desk.rotate(key_id, request or RotateKeyRequest(), principal)

    @router.delete("/{key_id}")
    async def revoke(key_id: str, principal: Annotated[Principal, Depends(permitted_principal)]) -> KeyView:
        """Revoke a key for ever, on every replica within seconds; once more is no change."""
        return await desk.revoke(key_id, principal)

    return router


class _KeyDesk:
    """Answers for one set of services. Stores wait for the disk, so they are asked in threads."""

    def __init__(self, services: KeyServices) -> None:
        self._services = services

    async def create(self, request: CreateKeyRequest, principal: Principal) -> NewKeyView:
        if tenant_seen(principal) not in (None, request.tenant):
            raise RequestError(
                "permission_denied",
                f"a key of the tenant {principal.tenant} cannot create one for the tenant {request.tenant}",
                param="tenant",
            )
        expires = None
        if request.expires_in_days is not None:
            expires = self._services.clock.now() + timedelta(days=request.expires_in_days)
        made = await asyncio.to_thread(
            self._services.keys.create,
            request.name,
            request.tenant,
            Role[request.role.upper()],
            expires=expires,
            limits=KeyLimits(request.requests_per_minute, request.max_concurrent),
            witness=self._witness(AuditKind.KEY_CREATED, principal),
        )
        return await self._told_new(made)

    def list_keys(self, principal: Principal, tenant: str | None) -> KeysView:
        seen = tenant_seen(principal)
        if seen is not None and tenant not in (None, seen):
            return KeysView(keys=[])
        records = self._services.keys.list_keys(seen or tenant)
        return KeysView(keys=[KeyView(**self._fields(record)) for record in records])

    async def rotate(self, key_id: str, request: RotateKeyRequest, principal: Principal) -> NewKeyView:
        await asyncio.to_thread(self._check_tenant, key_id, principal)
        witness = self._witness(AuditKind.KEY_ROTATED, principal, {"grace_s": request.grace_s})
        made = await asyncio.to_thread(self._services.keys.rotate, key_id, request.grace_s, witness=witness)
        return await self._told_new(made)

    async def revoke(self, key_id: str, principal: Principal) -> KeyView:
        await asyncio.to_thread(self._check_tenant, key_id, principal)
        witness = self._witness(AuditKind.KEY_REVOKED, principal)
        record = await asyncio.to_thread(self._services.keys.revoke, key_id, witness=witness)
        await self._services.on_keys_changed()
        return KeyView(**self._fields(record))

    async def _told_new(self, made: NewKey) -> NewKeyView:
        await self._services.on_keys_changed()
        return NewKeyView(**self._fields(made.record), secret=made.secret)

    def _check_tenant(self, key_id: str, principal: Principal) -> None:
        """The same words whether a key does not exist or belongs to another tenant."""
        seen = tenant_seen(principal)
        owners = {record.key_id for record in self._services.keys.list_keys(seen)}
        if key_id not in owners:
            raise RequestError(
                "not_found", f"there is no key {key_id[:64]!r}", hint="`evolving-ai keys list` shows the keys there are"
            )

    def _witness(
        self, kind: AuditKind, principal: Principal, more: dict[str, Any] | None = None
    ) -> Callable[[KeyRecord], None]:
        def witness(record: KeyRecord) -> None:
            detail = {**_audited(record), **(more or {})}
            self._services.audit.append(kind, actor=principal.key_id, subject=record.key_id, detail=detail)

        return witness

    def _fields(self, record: KeyRecord) -> dict[str, Any]:
        return {
            "id": record.key_id,
            "name": record.name,
            "tenant": record.tenant,
            "role": record.role.name.lower(),
            "is_valid": is_valid(record, self._services.clock.now()),
            "created": record.created,
            "expires": record.expires,
            "revoked": record.revoked,
            "rotated": record.rotated,
            "former_until": record.former_until,
            "requests_per_minute": record.limits.requests_per_minute,
            "max_concurrent": record.limits.max_concurrent,
        }


def _audited(record: KeyRecord) -> dict[str, Any]:
    """What the audit log says of a key; neither the secret nor its hash."""
    return {
        "name": record.name,
        "tenant": record.tenant,
        "role": record.role.name.lower(),
        "expires": None if record.expires is None else record.expires.isoformat(),
        "requests_per_minute": record.limits.requests_per_minute,
        "max_concurrent": record.limits.max_concurrent,
    }
