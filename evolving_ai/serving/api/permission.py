"""Whether the principal of a request may send it: the table of access, asked where the route is known."""

from typing import Annotated

from fastapi import Depends, Request

from evolving_ai.domain.identity import Principal
from evolving_ai.errors import RequestError
from evolving_ai.security.access import allowed
from evolving_ai.serving.api.principal import current_principal

__all__ = ["permitted_principal"]


async def permitted_principal(
    request: Request, principal: Annotated[Principal, Depends(current_principal)]
) -> Principal:
    """The principal; RequestError `permission_denied` when the table of access does not let it do this."""
    if not allowed(principal, request.method, request.url.path):
        raise RequestError(
            "permission_denied",
            f"the role {principal.role.name.lower()} may not {request.method} {request.url.path[:100]}",
            hint="an administrator can create a key with another role",
        )
    return principal
