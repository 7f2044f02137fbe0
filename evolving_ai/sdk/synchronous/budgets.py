"""`framework.budgets`: what keys and tenants may spend, and what they spent. For administrators."""

from collections.abc import Sequence
from datetime import date

from evolving_ai.sdk.access_calls import budgets_call, cost_call, remove_budget_call, set_budget_call
from evolving_ai.sdk.ai_calls import Amount
from evolving_ai.sdk.results import Budget, Cost
from evolving_ai.sdk.synchronous.transport import SyncTransport

__all__ = ["Budgets"]


class Budgets:
    """Every call raises an ApiError when it fails. A scope is `key:ID` or `tenant:NAME`."""

    def __init__(self, transport: SyncTransport) -> None:
        self._transport = transport

    def set(self, scope: str, cap_usd: Amount, *, window: str = "month") -> Budget:
        """Limit a scope, or change its limit. `window`: total, day, month (UTC), or seconds such as `3600s`."""
        return self._transport.send(set_budget_call(scope, cap_usd, window))

    def list(self) -> tuple[Budget, ...]:
        """Every budget with what is spent of it."""
        return self._transport.send(budgets_call())

    def remove(self, scope: str) -> bool:
        """Stop limiting a scope; False when nothing did."""
        return self._transport.send(remove_budget_call(scope))

    def cost(
        self,
        *,
        since: date | None = None,
        until: date | None = None,
        tenant: str | None = None,
        key_id: str | None = None,
        by: Sequence[str] = ("day", "tenant", "key_id", "target"),
    ) -> Cost:
        """What was spent from one UTC day to another, both included, summed up by the columns `by`."""
        return self._transport.send(cost_call(since, until, tenant=tenant, key_id=key_id, by=by))
