"""`/api/v1/budgets` and `/api/v1/budgets/cost`: what may be spent, and what was.

A budget limits a key or a tenant for a window of time. An administrator of a tenant sets those of its own keys and sees
its own spend; the budget of a tenant is set by the installation's own tenant, `local`, alone. A change stands in the
audit log before it counts.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Annotated, Any, Protocol

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
from evolving_ai.stores.ports.spend import Budget, SpendLine, SpendQuery

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
    async def budgets(principal: Annotated[Principal, Depends(permitted_principal)]) -> BudgetsView:
        """The budgets, each in its current window."""
        return await asyncio.to_thread(desk.list, principal)

    @router.post("")
    async def set_budget(
        request: BudgetRequest, principal: Annotated[Principal, Depends(permitted_principal)]
    ) -> BudgetView:
        """Limit a key or a tenant, or change its limit."""
        view = await asyncio.to_thread(desk.set, request, principal)
        await services.on_budgets_changed()
        return view

    @router.delete("/{scope}")
    async def remove(scope: str, principal: Annotated[Principal, Depends(permitted_principal)]) -> RemovedBudget:
        """Limit a key or a tenant no longer."""
        was_there = await asyncio.to_thread(desk.remove, scope, principal)
        await services.on_budgets_changed()
        return RemovedBudget(scope=scope, was_there=was_there)

    _add_cost(router, services)
    return router


def _add_cost(router: APIRouter, services: BudgetServices) -> None:
    @router.get("/cost")
    async def cost(
        principal: Annotated[Principal, Depends(permitted_principal)],
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


class _BudgetDesk:
    """What the routes do, in a thread."""

    def __init__(self, services: BudgetServices) -> None:
        self._services = services

    def list(self, principal: Principal) -> BudgetsView:
        seen = [status for status in self._services.budgets.budgets() if self._sees(principal, status.budget.scope)]
        return BudgetsView(budgets=[_view(status) for status in seen])

    def set(self, request: BudgetRequest, principal: Principal) -> BudgetView:
        witness = self._witness(principal, self._tenant_of(principal, request.scope))
        self._services.budgets.set_budget(
            request.scope, parse_usd(request.cap_usd), request.window, witness=lambda budget: witness(budget, False)
        )
        status = self._services.budgets.status(request.scope)
        if status is None:
            raise RequestError("conflict", f"the budget of {request.scope} was removed at the same moment")
        return _view(status)

    def remove(self, scope: str, principal: Principal) -> bool:
        witness = self._witness(principal, self._tenant_of(principal, scope))
        return self._services.budgets.remove_budget(scope, witness=lambda budget: witness(budget, True))

    def _witness(self, principal: Principal, tenant: str | None) -> Callable[[Budget, bool], None]:
        def witness(budget: Budget, is_removed: bool) -> None:
            detail: dict[str, Any] = {
                "tenant": tenant,
                "cap_nano_usd": budget.cap_nano_usd,
                "window": budget.window,
                "removed": is_removed,
            }
            self._services.audit.append(
                AuditKind.BUDGET_CHANGED, actor=principal.key_id, subject=budget.scope, detail=detail
            )

        return witness

    def _sees(self, principal: Principal, scope: str) -> bool:
        tenant = tenant_seen(principal)
        if tenant is None or scope == f"tenant:{tenant}":
            return True
        return scope in {f"key:{record.key_id}" for record in self._services.keys.list_keys(tenant)}

    def _tenant_of(self, principal: Principal, scope: str) -> str | None:
        """Whose scope it is (None: nobody's, the books refuse it), if this principal may limit it.

        Scopes of others are refused in the same words as those that do not exist.
        """
        kind, _, name = scope.partition(":")
        if kind == "tenant" and tenant_seen(principal) is not None:
            raise RequestError("permission_denied", "the budget of a tenant is set by the installation's administrator")
        if kind != "key":
            return name if kind == "tenant" else None
        owners = {record.key_id: record.tenant for record in self._services.keys.list_keys(tenant_seen(principal))}
        if name not in owners:
            raise RequestError("not_found", f"there is no key {name[:64]!r}", hint="`evolving-ai keys list` shows them")
        return owners[name]


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
