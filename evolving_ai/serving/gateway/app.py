"""The HTTP surface of a gateway replica: raw ASGI, because every microsecond here is paid by every request.

Authentication comes first, then the body under its limit, then the route. `/v1/*` and `/api/v1/ai/*` are answered
here; the rest of `/api/v1` is passed to the control deployment once the access table allows it.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from evolving_ai._common.clock import Clock
from evolving_ai._common.deadlines import Deadlines
from evolving_ai._common.request_ids import RequestId, RequestIds
from evolving_ai.domain.identity import Principal
from evolving_ai.errors import RequestError, UpstreamError
from evolving_ai.router.chat_request import ChatRequest, read_chat_body
from evolving_ai.router.ports import KeyRing
from evolving_ai.router.request_path import Answer, RequestPath
from evolving_ai.serving.gateway.demands import NO_DEMANDS, read_demands
from evolving_ai.serving.gateway.messages import (
    Headers,
    HttpRequest,
    Receive,
    Scope,
    Send,
    lingering,
    read_body,
    send_whole,
)
from evolving_ai.serving.gateway.problems import send_problem, send_refusal

__all__ = ["Exchange", "GatewayApp", "OpenRoute", "Route"]

_LOG = logging.getLogger(__name__)
_WATCH_AFTER_S = 1.0
"""A client that leaves sooner is noticed when its answer is written; later, at once."""
_JSON = (b"content-type", b"application/json")
_EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")


class Exchange:
    """One request with the means to answer it."""

    __slots__ = ("arrived_s", "has_begun", "id", "receive", "request", "scope", "send")

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, request: HttpRequest, request_id: RequestId, arrived_s: float
    ) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.request = request
        self.id = request_id
        self.arrived_s = arrived_s
        self.has_begun = False


Route: TypeAlias = Callable[[Exchange, Principal], Awaitable[None]]
OpenRoute: TypeAlias = Callable[[Exchange], Awaitable[None]]


class GatewayApp:
    """The ASGI application. `keys` is exchanged as a whole when keys change.

    `routes` are further routes by (method, path), for principals; `open_routes` for everybody; `fallback` gets what is
    left of `/api/v1`.
    """

    def __init__(
        self,
        path: RequestPath,
        keys: KeyRing,
        clock: Clock,
        *,
        max_body_bytes: int,
        record_content: frozenset[str] = frozenset(),
        on_close: Callable[[], Awaitable[None]] | None = None,
        watch_after_s: float = _WATCH_AFTER_S,
    ) -> None:
        self.keys = keys
        self.path = path
        self.clock = clock
        self.max_body_bytes = max_body_bytes
        self.routes: dict[tuple[str, str], Route] = {("POST", "/v1/chat/completions"): self._chat_completions}
        self.open_routes: dict[tuple[str, str], OpenRoute] = {}
        self.fallback: Route | None = None
        self.answered = 0
        self.failed = 0
        self._record_content = record_content
        self._on_close = on_close
        self._watch_after_s = watch_after_s
        self._deadlines = Deadlines()
        self._ids = RequestIds(clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = HttpRequest.of(scope)
        exchange = Exchange(scope, receive, send, request, self._ids.next(), self.clock.monotonic_s())
        try:
            await self._dispatch(exchange)
            self.answered += 1
        except RequestError as exc:
            self.failed += 1
            if not exchange.has_begun:
                answer = lingering(send, receive) if exc.code == "body_too_large" else send
                await send_problem(answer, exc, path=request.path, request_id=exchange.id.text)
            elif exc.code != "client_closed":
                raise
        except UpstreamError as exc:
            self.failed += 1
            await send_refusal(send, exc, path=request.path, request_id=exchange.id.text)
        except Exception:
            self.failed += 1
            _LOG.exception("request %s failed unexpectedly", exchange.id.text)
            if exchange.has_begun:
                raise  # the server closes the connection: the client sees that the answer is not whole
            defect = RequestError("internal_error", "the gateway failed: an operator finds the reason in its log")
            await send_problem(send, defect, path=request.path, request_id=exchange.id.text)

    async def close(self) -> None:
        """Give back what the application was composed with."""
        if self._on_close is not None:
            await self._on_close()

    async def _dispatch(self, exchange: Exchange) -> None:
        request = exchange.request
        key = (request.method, request.path)
        open_route = self.open_routes.get(key)
        if open_route is not None:
            await open_route(exchange)
            return
        principal = self.authenticate(request)
        route = self.routes.get(key)
        if route is None:
            route = self._other_route(request)
        await route(exchange, principal)

    def authenticate(self, request: HttpRequest) -> Principal:
        """Who asks; RequestError `missing_api_key` or `invalid_api_key`."""
        if not request.secret:
            raise RequestError(
                "missing_api_key",
                "no API key: expected the header Authorization: Bearer KEY",
                hint="`evolving-ai keys create` makes one",
            )
        principal = self.keys.principal(request.secret)
        if principal is None:
            raise RequestError("invalid_api_key", "this API key is not valid", hint="it is unknown, expired or revoked")
        return principal

    def _other_route(self, request: HttpRequest) -> Route:
        methods = sorted(method for method, path in self.routes if path == request.path)
        if methods:
            expected = ", ".join(methods)
            raise RequestError("method_not_allowed", f"{request.method} {request.path}: expected {expected}")
        if self.fallback is not None and request.path.startswith(("/api/v1/", "/v1/models/")):
            return self.fallback
        raise RequestError("not_found", f"there is nothing at {request.path[:200]}", hint="see /api/v1/openapi.json")

    # --- Chat ---------------------------------------------------------------------------------------------------------

    async def chat_request(self, exchange: Exchange, principal: Principal) -> ChatRequest:
        """Read a chat completion; RequestError when it is none."""
        raw = await read_body(exchange.request, exchange.receive, self.max_body_bytes)
        return self.chat_from(exchange, principal, read_chat_body(raw), len(raw))

    def chat_from(
        self, exchange: Exchange, principal: Principal, body: Mapping[str, Any], input_bytes: int
    ) -> ChatRequest:
        """A chat completion out of a body that was checked."""
        extras = exchange.request.extras
        return ChatRequest(
            decision_id=exchange.id.text,
            seed=exchange.id.seed,
            principal=principal,
            body=body,
            input_bytes=input_bytes,
            arrived_s=exchange.arrived_s,
            demands=NO_DEMANDS if extras is None else read_demands(extras, principal),
            records_content=principal.tenant in self._record_content,
        )

    async def _chat_completions(self, exchange: Exchange, principal: Principal) -> None:
        chat = await self.chat_request(exchange, principal)
        if chat.is_stream:
            await self.stream(exchange, chat)
            return
        answer = await self.complete(exchange, chat)
        headers: Headers = [_JSON, *answer.headers]
        exchange.has_begun = True
        await send_whole(exchange.send, 200, headers, answer.body)

    async def complete(self, exchange: Exchange, chat: ChatRequest) -> Answer:
        """Get a whole answer; the upstream is cancelled when the client leaves."""
        with _LeftClient(exchange.receive, self._deadlines, self._watch_after_s):
            return await self.path.complete(chat)

    async def stream(self, exchange: Exchange, chat: ChatRequest) -> None:
        """Answer with server-sent events; the upstream is cancelled when the client leaves."""
        with _LeftClient(exchange.receive, self._deadlines, self._watch_after_s):
            answer = await self.path.stream(chat)
            headers: Headers = [_EVENTS, (b"cache-control", b"no-cache"), *answer.headers]
            exchange.has_begun = True
            async with contextlib.aclosing(answer.events) as events:
                await _send_events(exchange.send, headers, events)


async def _send_events(send: Send, headers: Headers, events: AsyncGenerator[bytes, None]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    async for event in events:
        await send({"type": "http.response.body", "body": event, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


class _LeftClient:
    """Cancels what happens in the block when the client goes away.

    Watching takes a task, which is only worth its price for requests that take longer than `after_s`.
    """

    __slots__ = ("_after_s", "_deadline", "_deadlines", "_receive", "_task", "_watcher")

    def __init__(self, receive: Receive, deadlines: Deadlines, after_s: float) -> None:
        self._receive = receive
        self._deadlines = deadlines
        self._after_s = after_s
        self._watcher: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._deadline = self._deadlines.after(self._after_s, self._begin)

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: object) -> None:
        self._deadlines.cancel(self._deadline)
        watcher = self._watcher
        if watcher is None:
            return
        has_left = watcher.done()
        watcher.cancel()
        if kind is asyncio.CancelledError and has_left and self._task is not None and self._task.uncancel() == 0:
            raise RequestError("client_closed", "the client went away") from None

    def _begin(self) -> None:
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if self._task is not None:
            self._task.cancel()
