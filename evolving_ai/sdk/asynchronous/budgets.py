"""`framework.budgets`: what keys and tenants may spend. For administrators."""

from evolving_ai.sdk.access_calls import budgets_call, remove_budget_call, set_budget_call
from evolving_ai.sdk.ai_calls import Amount
from evolving_ai.sdk.asynchronous.transport import AsyncTransport
from evolving_ai.sdk.results import Budget

__all__ = ["Budgets"]


class Budgets:
    """Every call raises an ApiError when it fails. A scope is `key:ID` or `tenant:NAME`."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def set(self, scope: str, cap_usd: Amount, *, window: str = "total") -> Budget:
        """Limit a scope, or change its limit. `window`: total, day, month (UTC), or seconds such as `3600s`."""
        return await self._transport.send(set_budget_call(scope, cap_usd, window))

    async def list(self) -> tuple[Budget, ...]:
        """Every budget with what is spent of it."""
        return await self._transport.send(budgets_call())

    async def remove(self, scope: str) -> None:
        """Stop limiting a scope."""
        await self._transport.send(remove_budget_call(scope))
