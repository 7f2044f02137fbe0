"""What a replica doesn't answer itself: checked against the table of access, then passed to the control deployment."""

from evolving_ai.domain.identity import Principal
from evolving_ai.errors import PlatformError, RequestError
from evolving_ai.security.access import access_rule, allowed
from evolving_ai.serving.control.http import principal_json
from evolving_ai.serving.envelope import Caller, pack, unpack
from evolving_ai.serving.gateway.app import Exchange, GatewayApp
from evolving_ai.serving.gateway.messages import Headers, read_body, send_whole
from evolving_ai.serving.gateway.openai_routes import send_model

__all__ = ["add_forwarding"]

_OPENAPI = "/api/v1/openapi.json"
_MODELS = "/v1/models/"
_TIMEOUT_S = 180.0  # promoting may fit a snapshot first
_FORWARDED = frozenset({b"accept", b"content-type"})
_RETRY_S = 2.0


def add_forwarding(app: GatewayApp, control: Caller, *, is_replay: bool) -> None:
    """Let `app` pass on what is left of `/api/v1`, and the OpenAPI document for everybody."""

    async def fallback(exchange: Exchange, principal: Principal) -> None:
        request = exchange.request
        if request.path.startswith(_MODELS):
            await send_model(app, exchange, is_replay=is_replay)
            return
        if access_rule(request.method, request.path) is None:
            raise RequestError(
                "not_found", f"there is no {request.method} {request.path[:200]}", hint="see /api/v1/openapi.json"
            )
        if not allowed(principal, request.method, request.path):
            raise RequestError(
                "permission_denied",
                f"the role {principal.role.name.lower()} may not {request.method} {request.path[:100]}",
                hint="an administrator can create a key with another role",
            )
        await _forward(app, control, exchange, principal)

    async def openapi(exchange: Exchange) -> None:
        await _forward(app, control, exchange, None)

    app.fallback = fallback
    app.open_routes["GET", _OPENAPI] = openapi


async def _forward(app: GatewayApp, control: Caller, exchange: Exchange, principal: Principal | None) -> None:
    scope, request = exchange.scope, exchange.request
    body = await read_body(request, exchange.receive, app.max_body_bytes)
    head = {
        "method": request.method,
        "path": request.path,
        "query": scope["query_string"].decode("latin-1"),
        "headers": [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"] if name in _FORWARDED
        ],
        "principal": principal_json(principal),
        "request_id": exchange.id.text,
    }
    try:
        answer = unpack(await control.call("http", pack(head, body), timeout_s=_TIMEOUT_S))
    except PlatformError as exc:
        raise RequestError(
            "control_unavailable",
            "the control deployment does not answer: models can be used, nothing can be managed",
            hint="it is restarted by itself: ask again in a few seconds",
            retry_after_s=_RETRY_S,
        ) from exc
    headers: Headers = [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in answer.head["headers"]
        if name != "content-length"
    ]
    headers.append((b"x-request-id", exchange.id.text.encode()))
    await send_whole(exchange.send, answer.head["status"], headers, answer.body)
