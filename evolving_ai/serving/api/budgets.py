"""`/api/v1/budgets` and `/api/v1/budgets/cost`: what may be spent, and what was.

A budget limits a key or a tenant for a window of time. An administrator of a tenant sets those of its own keys and sees
its own spend; the budget of a tenant is set by the installation's own tenant, `local`, alone.
"""

import asyncio
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, Protocol

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from evolving_ai.domain.identity import Principal
from evolving_ai.domain.money import format_usd, parse_usd
from evolving_ai.errors import RequestError
from evolving_ai.optimizer.budgets import BudgetBook, BudgetStatus
from evolving_ai.security.api_keys import KeyService
from evolving_ai.security.audit_kinds import AuditKind
from evolving_ai.serving.api.permission import permitted_principal
from evolving_ai.serving.api.principal import tenant_seen
from evolving_ai.stores.ports import AuditLog
from evolving_ai.stores.ports.spend import SpendLine, SpendQuery

__all__ = [
    "BudgetRequest",
    "BudgetServices",
    "BudgetView",
    "BudgetsView",
    "CostLine",
    "CostView",
    "RemovedBudget",
    "budgets_router",
]

Column = Literal["day", "tenant", "key_id", "target"]
Caller = Annotated[Principal, Depends(permitted_principal)]


class BudgetRequest(BaseModel):
    """What a scope may spend in each window."""

    model_config = ConfigDict(extra="forbid")

    scope: str = Field(description="key:ID or tenant:NAME", min_length=5, max_length=100)
    cap_usd: str = Field(description="Dollars, such as 12.50", min_length=1, max_length=30)
    window: str = Field(default="month", description="total, day, month, or seconds such as 3600s", max_length=20)


class BudgetView(BaseModel):
    """A budget in its current window. `leased` is held by replicas, `forfeited` was held by some that vanished."""

    scope: str
    cap_usd: str
    window: str
    window_start: datetime
    window_end: datetime | None
    settled_usd: str
    leased_usd: str
    forfeited_usd: str
    remaining_usd: str


class BudgetsView(BaseModel):
    """Every budget that the caller may see."""

    budgets: list[BudgetView]


class RemovedBudget(BaseModel):
    """Whether there was a budget to remove."""

    scope: str
    was_there: bool


class CostLine(BaseModel):
    """A sum of spend; a column that was not asked for is empty."""

    day: str
    tenant: str
    key_id: str
    target: str
    attempts: int
    cost_usd: str


class CostView(BaseModel):
    """Spend, summed up as asked."""

    lines: list[CostLine]
    total_usd: str


class BudgetServices(Protocol):
    """What these routes need."""

    @property
    def budgets(self) -> BudgetBook: ...

    @property
    def keys(self) -> KeyService: ...

    @property
    def audit(self) -> AuditLog: ...

    async def on_budgets_changed(self) -> None: ...


def budgets_router(services: BudgetServices) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1/budgets", tags=["budgets"])
    desk = _BudgetDesk(services)

    @router.get("")
    async def budgets(principal: Caller) -> BudgetsView:
        """The budgets, each in its current window."""
        return await asyncio.to_thread(desk.list, principal)

    @router.post("")
    async def set_budget(request: BudgetRequest, principal: Caller) -> BudgetView:
        """Limit a key or a tenant, or change its limit."""
        view = await asyncio.to_thread(desk.set, request, principal)
        await services.on_budgets_changed()
        return view

    @router.delete("/{scope}")
    async def remove(scope: str, principal: Caller) -> RemovedBudget:
        """Limit a key or a tenant no longer."""
        was_there = await asyncio.to_thread(desk.remove, scope, principal)
        await services.on_budgets_changed()
        return RemovedBudget(scope=scope, was_there=was_there)

    @router.get("/cost")
    async def cost(
        principal: Caller,
        since: date | None = None,
        until: date | None = None,
        tenant: str | None = None,
        key_id: str | None = None,
        by: str = "day,tenant,key_id,target",
    ) -> CostView:
        """What was spent, by days (UTC), tenants, keys and targets."""
        query = SpendQuery(
            None if since is None else since.isoformat(),
            None if until is None else until.isoformat(),
            tenant_seen(principal) or tenant,
            key_id,
            _columns(by),
        )
        lines = await asyncio.to_thread(services.budgets.spend, query)
        return CostView(
            lines=[_line(line) for line in lines], total_usd=format_usd(sum(line.amount_nano_usd for line in lines))
        )

    return router


class _BudgetDesk:
    """What the routes do, in a thread."""

    def __init__(self, services: BudgetServices) -> None:
        self._services = services

    def list(self, principal: Principal) -> BudgetsView:
        seen = [status for status in self._services.budgets.budgets() if self._sees(principal, status.budget.scope)]
        return BudgetsView(budgets=[_view(status) for status in seen])

    def set(self, request: BudgetRequest, principal: Principal) -> BudgetView:
        self._check(principal, request.scope)
        budget = self._services.budgets.set_budget(request.scope, parse_usd(request.cap_usd), request.window)
        detail = {"cap_nano_usd": budget.cap_nano_usd, "window": budget.window}
        self._audit(principal, request.scope, detail)
        status = self._services.budgets.status(request.scope)
        if status is None:
            raise RequestError("conflict", f"the budget of {request.scope} was removed at the same moment")
        return _view(status)

    def remove(self, scope: str, principal: Principal) -> bool:
        self._check(principal, scope)
        was_there = self._services.budgets.remove_budget(scope)
        if was_there:
            self._audit(principal, scope, {"removed": True})
        return was_there

    def _audit(self, principal: Principal, scope: str, detail: dict[str, Any]) -> None:
        self._services.audit.append(AuditKind.BUDGET_CHANGED, actor=principal.key_id, subject=scope, detail=detail)

    def _sees(self, principal: Principal, scope: str) -> bool:
        tenant = tenant_seen(principal)
        if tenant is None or scope == f"tenant:{tenant}":
            return True
        return scope in {f"key:{record.key_id}" for record in self._services.keys.list_keys(tenant)}

    def _check(self, principal: Principal, scope: str) -> None:
        """Refuse scopes of others in the same words as those that do not exist."""
        kind, _, name = scope.partition(":")
        if kind == "tenant" and tenant_seen(principal) is not None:
            raise RequestError("permission_denied", "the budget of a tenant is set by the installation's administrator")
        known = {record.key_id for record in self._services.keys.list_keys(tenant_seen(principal))}
        if kind == "key" and name not in known:
            raise RequestError("not_found", f"there is no key {name[:64]!r}", hint="`evolving-ai keys list` shows them")


def _columns(by: str) -> frozenset[str]:
    known = frozenset({"day", "tenant", "key_id", "target"})
    asked = frozenset(part.strip() for part in by.split(",") if part.strip())
    if not asked <= known:
        expected = ", ".join(sorted(known))
        raise RequestError("invalid_request", f"by cannot be {by[:60]!r}: expected some of {expected}", param="by")
    return asked


def _view(status: BudgetStatus) -> BudgetView:
    return BudgetView(
        scope=status.budget.scope,
        cap_usd=format_usd(status.budget.cap_nano_usd),
        window=status.budget.window,
        window_start=datetime.fromtimestamp(status.start_s, UTC),
        window_end=None if status.end_s is None else datetime.fromtimestamp(status.end_s, UTC),
        settled_usd=format_usd(status.settled_nano_usd),
        leased_usd=format_usd(status.leased_nano_usd),
        forfeited_usd=format_usd(status.forfeited_nano_usd),
        remaining_usd=format_usd(status.remaining_nano_usd),
    )


def _line(line: SpendLine) -> CostLine:
    return CostLine(
        day=line.day,
        tenant=line.tenant,
        key_id=line.key_id,
        target=line.target,
        attempts=line.attempts,
        cost_usd=format_usd(line.amount_nano_usd),
    )
