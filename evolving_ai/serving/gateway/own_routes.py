"""`/api/v1/ai/*` and health, as far as a replica answers them itself: the wire format is in `serving.api.ai`."""

import math
from collections.abc import Mapping
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from evolving_ai import __version__
from evolving_ai.domain.identity import Principal
from evolving_ai.domain.money import TokenPrice, format_usd
from evolving_ai.domain.target import DeploymentTarget
from evolving_ai.errors import RequestError
from evolving_ai.router.catalog import AUTO
from evolving_ai.router.chat_request import read_chat_body, read_json_object
from evolving_ai.router.request_path import Answer
from evolving_ai.router.run import Run
from evolving_ai.serving.api.ai import ChatBody, CompletionBody, RouteBody
from evolving_ai.serving.gateway.app import Exchange, GatewayApp
from evolving_ai.serving.gateway.messages import read_body, send_json
from evolving_ai.serving.gateway.state import ReplicaState

__all__ = ["add_own_routes"]

_Body = TypeVar("_Body", bound=BaseModel)
_SHORT = 12
_PICO_USD_PER_TOKEN = 10**6  # as many are a dollar for a million tokens


def add_own_routes(app: GatewayApp, state: ReplicaState, *, is_replay: bool, environment: Mapping[str, str]) -> None:
    """Add the routes; `environment` tells which providers have their keys."""
    routes = _OwnRoutes(app, state, is_replay, environment)
    app.open_routes["GET", "/api/v1/system/health"] = routes.health
    app.routes["POST", "/api/v1/ai/chat"] = routes.chat
    app.routes["POST", "/api/v1/ai/completion"] = routes.completion
    app.routes["POST", "/api/v1/ai/route"] = routes.route
    app.routes["GET", "/api/v1/ai/providers"] = routes.providers


class _OwnRoutes:
    def __init__(self, app: GatewayApp, state: ReplicaState, is_replay: bool, environment: Mapping[str, str]) -> None:
        self._app = app
        self._state = state
        self._is_replay = is_replay
        self._environment = environment

    async def health(self, exchange: Exchange) -> None:
        """Whether this replica serves, on what, and whether control is there."""
        policy = self._app.path.policy
        is_well = policy is not None and self._state.control_is_there
        document = {
            "status": "starting" if policy is None else "ok" if is_well else "degraded",
            "version": __version__,
            "replica": self._state.replica,
            "live": None
            if policy is None
            else {"generation": policy.generation, "dna": policy.dna_hash, "snapshot": policy.snapshot_hash},
            "control": self._state.control_is_there,
            "is_replay": self._is_replay,
        }
        await send_json(exchange.send, 503 if policy is None else 200, document)

    async def chat(self, exchange: Exchange, principal: Principal) -> None:
        """Chat in the own format; a stream is OpenAI's."""
        body, size = await self._json(exchange)
        asked = _validated(ChatBody, body)
        body.pop("auto_optimize", None)
        if asked.auto_optimize or asked.model is None:
            body["model"] = AUTO
        chat = self._app.chat_from(exchange, principal, read_chat_body(orjson.dumps(body)), size)
        if chat.is_stream:
            await self._app.stream(exchange, chat)
            return
        answer = await self._app.complete(exchange, chat)
        choice = _first_choice(answer)
        await send_json(exchange.send, 200, {**_figures(answer), "message": choice.get("message", {})}, answer.headers)

    async def completion(self, exchange: Exchange, principal: Principal) -> None:
        """One prompt, one text."""
        body, size = await self._json(exchange)
        asked = _validated(CompletionBody, body)
        if body.get("stream"):
            raise RequestError("invalid_request", "a completion is not streamed: use /api/v1/ai/chat", param="stream")
        rest = {name: value for name, value in body.items() if name not in ("prompt", "model")}
        messages = [{"role": "user", "content": asked.prompt}]
        chat_body = read_chat_body(orjson.dumps({**rest, "model": asked.model or AUTO, "messages": messages}))
        answer = await self._app.complete(exchange, self._app.chat_from(exchange, principal, chat_body, size))
        text = _first_choice(answer).get("message", {}).get("content") or ""
        await send_json(exchange.send, 200, {**_figures(answer), "text": text}, answer.headers)

    async def route(self, exchange: Exchange, principal: Principal) -> None:
        """Decide only."""
        body, size = await self._json(exchange)
        asked = _validated(RouteBody, body)
        messages = asked.messages
        if messages is None:
            if asked.prompt is None:
                raise RequestError("invalid_request", "nothing to decide about: expected messages or a prompt")
            messages = [{"role": "user", "content": asked.prompt}]
        chat_body = read_chat_body(orjson.dumps({"model": asked.model or AUTO, "messages": messages}))
        run, propensities = self._app.path.preview(self._app.chat_from(exchange, principal, chat_body, size))
        document = _route_json(run, propensities)
        await send_json(exchange.send, 200, document, [(b"x-request-id", exchange.id.text.encode())])

    async def providers(self, exchange: Exchange, _principal: Principal) -> None:
        """Providers with their targets."""
        by_provider: dict[str, list[DeploymentTarget]] = {}
        for target in self._app.path.catalog.targets:
            by_provider.setdefault(target.provider, []).append(target)
        document = {"providers": [self._provider(name, targets) for name, targets in sorted(by_provider.items())]}
        await send_json(exchange.send, 200, document, [(b"x-request-id", exchange.id.text.encode())])

    def _provider(self, name: str, targets: list[DeploymentTarget]) -> dict[str, Any]:
        variable = targets[0].api_key_env
        return {
            "name": name,
            "kind": targets[0].kind.value,
            "region": targets[0].region,
            "is_ready": variable is None or bool(self._environment.get(variable)),
            "targets": [
                {
                    "name": target.name,
                    "model": target.model,
                    **_price_json(target.price),
                    "breaker": self._app.path.breakers.health(target.name).state.value,
                }
                for target in targets
            ],
        }

    async def _json(self, exchange: Exchange) -> tuple[dict[str, Any], int]:
        raw = await read_body(exchange.request, exchange.receive, self._app.max_body_bytes)
        body = read_json_object(raw)
        return body, len(raw)


def _validated(model: type[_Body], body: Mapping[str, Any]) -> _Body:
    try:
        return model.model_validate(body)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        text = f"{where or 'the body'}: {first['msg'].lower()}"
        raise RequestError("invalid_request", text, param=where or None) from exc


def _first_choice(answer: Answer) -> dict[str, Any]:
    choice: dict[str, Any] = orjson.loads(answer.body)["choices"][0]
    return choice


def _figures(answer: Answer) -> dict[str, Any]:
    run = answer.run
    decision, target, last = run.decided.decision, run.target, run.attempts[-1]
    return {
        "id": run.request.decision_id,
        "model": "" if target is None else target.model,
        "target": "" if target is None else target.name,
        "finish_reason": run.finish_reason,
        "usage": {"input_tokens": last.input_tokens, "output_tokens": last.output_tokens},
        "cost_usd": format_usd(run.cost_nano_usd),
        "attempts": len(run.attempts),
        "dna": decision.dna_hash[:_SHORT],
        "snapshot": decision.snapshot_hash[:_SHORT],
    }


def _route_json(run: Run, propensities: tuple[float, ...]) -> dict[str, Any]:
    decision = run.decided.decision
    columns = (decision.models, decision.qualities, decision.costs_usd, decision.score_values, propensities)
    return {
        "decision_id": None,
        "chosen": decision.model,
        "candidates": [
            {
                "model": model,
                "targets": [target.name for target in run.selection.by_model.get(model, ())],
                "quality": quality,
                "cost_usd": cost,
                "score": None if score == -math.inf else score,
                "propensity": propensity,
            }
            for model, quality, cost, score, propensity in zip(*columns, strict=True)
        ],
        "relaxed": list(decision.relaxed),
        "dna": decision.dna_hash[:_SHORT],
        "snapshot": decision.snapshot_hash[:_SHORT],
    }


def _price_json(price: TokenPrice) -> dict[str, float]:
    return {
        "input_usd_per_million": price.input_pico_usd / _PICO_USD_PER_TOKEN,
        "output_usd_per_million": price.output_pico_usd / _PICO_USD_PER_TOKEN,
    }
