"""Who a request of the API is from: found by the gateway, handed on, checked once more here."""

from fastapi import Request

from evolving_ai.domain.identity import Principal
from evolving_ai.errors import RequestError

__all__ = ["current_principal", "tenant_seen"]

_LOCAL = "local"


async def current_principal(request: Request) -> Principal:
    """The principal that the gateway authenticated. RequestError `missing_api_key` when there is none."""
    principal = request.scope.get("principal")
    if not isinstance(principal, Principal):
        raise RequestError("missing_api_key", "no API key: expected the header Authorization: Bearer KEY")
    return principal


def tenant_seen(principal: Principal) -> str | None:
    """Whose data a principal sees: its tenant's; the installation's own tenant `local` sees everybody's (None)."""
    return None if principal.tenant == _LOCAL else principal.tenant
