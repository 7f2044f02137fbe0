"""OpenAI, and every provider with a base URL that speaks its format.

The caller's body goes out as it came, with the model's upstream name; the provider's bytes come back as they came.
Keys are read from the environment's mapping once for each target's variable, and never leave but in the header.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from evolving_ai._common.clock import Clock
from evolving_ai.domain.outcome import AttemptResult
from evolving_ai.domain.target import DeploymentTarget
from evolving_ai.errors import UpstreamError
from evolving_ai.router.ports import ChatCall, Completion, StreamPart, UpstreamClient, UpstreamRequest, UpstreamStream
from evolving_ai.router.providers.chat_answer import completion_of, part_of
from evolving_ai.router.providers.provider_failure import failure_of_status
from evolving_ai.router.sse import SseParser

__all__ = ["OpenAICompatibleProvider"]

_OPENAI = "https://api.openai.com/v1"
_END = b"[DONE]"
_PASSED_ON = (("x-replay-score", "x-replay-score"), ("x-request-id", "x-upstream-request-id"))
_MAX_ERROR_BYTES = 65536
_DRAIN_S = 0.1
"""How long a stream may take to close after its end mark, so that its connection can serve the next request."""


@dataclass(frozen=True, slots=True)
class _Route:
    """Where a target is, and what opens it."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    key: str | None = field(repr=False)


class OpenAICompatibleProvider:
    """Keeps the promises of `router.ports.Provider`. `environment` holds the keys by name of their variable."""

    def __init__(self, client: UpstreamClient, environment: Mapping[str, str], clock: Clock) -> None:
        self._client = client
        self._environment = environment
        self._clock = clock
        self._routes: dict[tuple[str | None, str | None], _Route] = {}

    async def complete(self, call: ChatCall) -> Completion:
        target = call.target
        route = self._route(target)
        body = orjson.dumps({**call.body, "model": target.upstream_model})
        response = await self._client.send(
            UpstreamRequest(route.url, route.headers, body, call.timeout_s, call.timeout_s)
        )
        if not 200 <= response.status < 300:
            raise self._refusal(target, route, response.status, response.headers, response.body)
        return completion_of(target.name, response.body, _passed_on(response.headers), (route.key,))

    async def stream(self, call: ChatCall) -> AsyncGenerator[StreamPart, None]:
        target = call.target
        route = self._route(target)
        first_byte_timeout_s = min(target.first_byte_timeout_s, call.timeout_s)
        body = orjson.dumps(_streaming(call))
        request = UpstreamRequest(route.url, route.headers, body, call.timeout_s, first_byte_timeout_s)
        async with self._client.stream(request) as answer:
            if not 200 <= answer.status < 300 or not _is_event_stream(answer.headers):
                raise await self._refusal_in(target, route, answer)
            parser, keys, chunks = SseParser(), (route.key,), answer.chunks()
            headers: Mapping[str, str] | None = _passed_on(answer.headers)
            async for chunk in chunks:
                for event in parser.feed(chunk):
                    if event.data.startswith(_END):
                        await _drain(chunks)
                        return
                    yield part_of(target.name, event.data, headers, keys, is_error=event.name == "error")
                    headers = None
            if not any(event.data.startswith(_END) for event in parser.finish()):
                text = f"{target.name} ended its stream without [DONE]: the answer may be incomplete"
                raise UpstreamError(AttemptResult.CONNECTION, text)

    def _route(self, target: DeploymentTarget) -> _Route:
        route = self._routes.get((target.base_url, target.api_key_env))
        return self._new_route(target) if route is None else route

    def _new_route(self, target: DeploymentTarget) -> _Route:
        headers, key, variable = {"content-type": "application/json"}, None, target.api_key_env
        if variable is not None:
            key = self._environment.get(variable, "").strip()
            if not key:
                raise UpstreamError(
                    AttemptResult.UNAVAILABLE, f"{target.name} has no key: set {variable} in the gateway's environment"
                )
            headers["authorization"] = f"Bearer {key}"
        url = f"{(target.base_url or _OPENAI).rstrip('/')}/chat/completions"
        route = self._routes[target.base_url, variable] = _Route(url, headers, key)
        return route

    def _refusal(
        self, target: DeploymentTarget, route: _Route, status: int, headers: Mapping[str, str], body: bytes
    ) -> UpstreamError:
        now = self._clock.now()
        return failure_of_status(target.name, status, headers, body, keys=(route.key,), now=now)

    async def _refusal_in(self, target: DeploymentTarget, route: _Route, answer: UpstreamStream) -> UpstreamError:
        """What an answer says that is not a stream of events."""
        body = b""
        async for chunk in answer.chunks():
            body += chunk
            if len(body) > _MAX_ERROR_BYTES:
                break
        if not 200 <= answer.status < 300:
            return self._refusal(target, route, answer.status, answer.headers, body)
        try:
            completion_of(target.name, body, {}, (route.key,))
        except UpstreamError as exc:
            return exc
        return UpstreamError(AttemptResult.MALFORMED, f"{target.name} sent a whole answer: expected a stream of events")


def _streaming(call: ChatCall) -> dict[str, Any]:
    """The body of a stream: usage is always asked for. Options that are no object are for the provider to refuse."""
    options = call.body.get("stream_options")
    if options is None or isinstance(options, dict):
        options = {**(options or {}), "include_usage": True}
    return {**call.body, "model": call.target.upstream_model, "stream": True, "stream_options": options}


def _is_event_stream(headers: Mapping[str, str]) -> bool:
    """Also where the provider does not say what it sends: then its events tell."""
    return "text/event-stream" in headers.get("content-type", "text/event-stream").lower()


def _passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    """What of the provider's headers is worth passing on, under the gateway's names."""
    passed = {}
    for name, outward in _PASSED_ON:
        value = headers.get(name)
        if value is not None:
            passed[outward] = value
    return passed


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Read the end of an answer: a connection is only used again after that. Whatever happens, the events are here."""
    with contextlib.suppress(UpstreamError, TimeoutError):
        async with asyncio.timeout(_DRAIN_S):
            async for _ in chunks:
                break
