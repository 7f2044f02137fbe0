"""The small routes of OpenAI's dialect: which models there are."""

from typing import Any

from evolving_ai.domain.identity import Principal
from evolving_ai.errors import RequestError
from evolving_ai.router.catalog import AUTO, Catalog
from evolving_ai.serving.gateway.app import Exchange, GatewayApp
from evolving_ai.serving.gateway.messages import send_json

__all__ = ["add_openai_routes", "send_model"]

_PREFIX = "/v1/models/"
_CREATED = 1_767_225_600  # 2026-01-01: models have no birthday here, and clients insist on one


def add_openai_routes(app: GatewayApp, *, is_replay: bool) -> None:
    """Add `/v1/models`; `is_replay`: the answers are recorded ones, and every entry says so."""

    async def list_models(exchange: Exchange, _principal: Principal) -> None:
        catalog = app.path.catalog
        data = [_entry(catalog, name, is_replay) for name in catalog.names]
        await send_json(exchange.send, 200, {"object": "list", "data": data}, _request_id(exchange))

    app.routes["GET", "/v1/models"] = list_models


async def send_model(app: GatewayApp, exchange: Exchange, *, is_replay: bool) -> None:
    """Answer `GET /v1/models/NAME`; names of targets have a slash. RequestError when it is something else."""
    if exchange.request.method != "GET":
        raise RequestError("method_not_allowed", f"{exchange.request.method} on a model: expected GET")
    name = exchange.request.path.removeprefix(_PREFIX)
    app.path.catalog.resolve(name)
    await send_json(exchange.send, 200, _entry(app.path.catalog, name, is_replay), _request_id(exchange))


def _entry(catalog: Catalog, name: str, is_replay: bool) -> dict[str, Any]:
    selection = catalog.resolve(name)
    owners = sorted({target.provider for target in selection.targets})
    entry: dict[str, Any] = {
        "id": name,
        "object": "model",
        "created": _CREATED,
        "owned_by": owners[0] if len(owners) == 1 and name != AUTO else "evolving_ai",
        "targets": [target.name for target in selection.targets],
    }
    if is_replay:
        entry["replay"] = "answers are recorded ones: no model is called; set a provider's key to call real models"
    return entry


def _request_id(exchange: Exchange) -> list[tuple[bytes, bytes]]:
    return [(b"x-request-id", exchange.id.text.encode())]
