"""`/api/v1/audit`: what was changed by whom, and whether that record is whole. It is only read here.

An administrator of the installation's own tenant, `local`, reads everything; one of another tenant what concerns that
tenant, and what is told to everybody anyway (which DNA was live, when the platform started).
"""

import asyncio
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from evolving_ai.domain.identity import Principal
from evolving_ai.errors import RequestError
from evolving_ai.security.audit_kinds import AuditKind
from evolving_ai.serving.api.permission import permitted_principal
from evolving_ai.serving.api.principal import tenant_seen
from evolving_ai.stores.ports import AuditEntry, AuditHead, AuditLog

__all__ = ["AuditEntriesView", "AuditEntryView", "AuditHeadView", "AuditServices", "AuditVerdict", "audit_router"]

_SHARED = frozenset(
    {
        AuditKind.DNA_PROMOTED,
        AuditKind.DNA_ROLLED_BACK,
        AuditKind.PLATFORM_STARTED,
        AuditKind.PLATFORM_STOPPED,
    }
)


class AuditEntryView(BaseModel):
    """An entry. `hash` is the SHA-256 of the canonical JSON (RFC 8785) of the other fields."""

    sequence: int
    time: str
    kind: str
    actor: str
    subject: str
    detail: dict[str, Any]
    previous: str
    hash: str


class AuditEntriesView(BaseModel):
    """Entries, oldest first. `last` is the number to ask for more with (`after`)."""

    entries: list[AuditEntryView]
    last: int


class AuditHeadView(BaseModel):
    """Where the log ends: keep it elsewhere, and `verify` can tell later that nothing up to there is gone."""

    sequence: int
    hash: str


class AuditVerdict(BaseModel):
    """Whether the chain is whole, and the first problem when it is not."""

    ok: bool
    problem: str | None
    head: AuditHeadView


class AuditServices(Protocol):
    """What these routes need."""

    @property
    def audit(self) -> AuditLog: ...


def audit_router(services: AuditServices) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1/audit", tags=["audit"])

    @router.get("/entries")
    async def entries(
        principal: Annotated[Principal, Depends(permitted_principal)],
        after: Annotated[int | None, Query(ge=0, description="Left out: the newest entries.")] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        kind: AuditKind | None = None,
    ) -> AuditEntriesView:
        """List entries behind a number, or the newest."""
        return await asyncio.to_thread(_entries, services.audit, tenant_seen(principal), after, limit, kind)

    @router.get("/verify")
    async def verify(
        _principal: Annotated[Principal, Depends(permitted_principal)],
        sequence: Annotated[int | None, Query(ge=0, description="Number of a head that was kept.")] = None,
        hash_: Annotated[str | None, Query(alias="hash", pattern="^[0-9a-f]{64}$", description="Its hash.")] = None,
    ) -> AuditVerdict:
        """Check the whole chain, and that it still contains a head that was kept."""
        if (sequence is None) != (hash_ is None):
            raise RequestError("invalid_request", "a head is a sequence and a hash: give both or neither")
        expected = None if sequence is None or hash_ is None else AuditHead(sequence, hash_)
        return await asyncio.to_thread(_verdict, services.audit, expected)

    return router


def _entries(
    log: AuditLog, tenant: str | None, after: int | None, limit: int, kind: AuditKind | None
) -> AuditEntriesView:
    if after is None:
        last = log.head().sequence  # what is added from now on is for the next question
        seen = [entry for entry in log.entries(kind=kind) if entry.sequence <= last and _is_seen(entry, tenant)]
        return _view(seen[-limit:], last)
    found: list[AuditEntry] = []
    while len(found) < limit:
        read = log.entries(after=after, limit=limit, kind=kind)
        if not read:
            break
        for entry in read:
            after = entry.sequence
            if _is_seen(entry, tenant):
                found.append(entry)
                if len(found) == limit:
                    break
    return _view(found, after)


def _is_seen(entry: AuditEntry, tenant: str | None) -> bool:
    return tenant is None or entry.kind in _SHARED or entry.detail.get("tenant") == tenant


def _view(entries: list[AuditEntry], last: int) -> AuditEntriesView:
    views = [AuditEntryView.model_validate(entry, from_attributes=True) for entry in entries]
    return AuditEntriesView(entries=views, last=last)


def _verdict(log: AuditLog, expected: AuditHead | None) -> AuditVerdict:
    head = log.head()
    problem = log.verify(expected_head=expected)
    return AuditVerdict(ok=problem is None, problem=problem, head=AuditHeadView(sequence=head.sequence, hash=head.hash))
