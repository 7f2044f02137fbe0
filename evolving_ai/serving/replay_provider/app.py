"""The HTTP of the replay providers, as one ASGI application: the port that a request came to says which model answers.

Routes: `/v1/chat/completions`, `/v1/models`, and for clients on this machine `/replay/faults`: GET tells the faults in
force, POST orders one (`faults.py`), DELETE clears them, with `?model=M` only that of one model.
"""

import asyncio
import contextlib
import ipaddress
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qs

import orjson

from evolving_ai._common.clock import Clock
from evolving_ai._common.request_ids import RequestIds
from evolving_ai.domain.problem import PROBLEMS
from evolving_ai.errors import RequestError, UsageError
from evolving_ai.router.chat_request import last_user_text, read_chat_body
from evolving_ai.serving.gateway.messages import (
    Headers,
    HttpRequest,
    Receive,
    Scope,
    Send,
    read_body,
    send_json,
    send_whole,
)
from evolving_ai.serving.gateway.problems import openai_error
from evolving_ai.serving.replay_provider.faults import Fault, FaultKind, Faults, check_model
from evolving_ai.serving.replay_provider.pace import pace_of
from evolving_ai.serving.replay_provider.replayed_answer import (
    ReplayedAnswer,
    events_of,
    recorded_answer,
    unknown_answer,
    whole_answer,
    wrong_answer,
)
from evolving_ai.serving.replay_provider.table import RecordedOutcome, ReplayTable

__all__ = ["ReplayApp"]

_MAX_BODY_BYTES = 32 * 2**20
_MARK = (b"x-evolving-provider", b"replay")
_FRAME_TOKENS = 8


class ReplayApp:
    """Answers for the models of `table`; `models_by_port` holds the place of a port's model in `table.models`.

    `latency_scale` 0: at once; 1: as fast as such a model would be.
    """

    def __init__(
        self, table: ReplayTable, models_by_port: Mapping[int, int], *, clock: Clock, latency_scale: float
    ) -> None:
        self._table = table
        self._models_by_port = models_by_port
        self._clock = clock
        self._ids = RequestIds(clock)
        self._scale = latency_scale
        self._paces = [pace_of(model) for model in table.models]
        self._faults = Faults()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request. A client that goes away in the middle is no error."""
        if scope["type"] != "http":
            return
        try:
            await self._answer(scope, receive, send)
        except RequestError as exc:
            await send_json(send, PROBLEMS[exc.code].status, openai_error(exc), [_MARK])

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = (scope["method"], scope["path"])
        if route == ("POST", "/v1/chat/completions"):
            await self._chat(scope, receive, send)
        elif route == ("GET", "/v1/models"):
            await send_json(send, 200, self._models(scope), [_MARK])
        elif scope["path"] == "/replay/faults":
            await self._change_faults(scope, receive, send)
        else:
            raise RequestError("not_found", f"{scope['method']} {scope['path'][:100]} is nothing that is replayed")

    # --- Chat ---------------------------------------------------------------------------------------------------------

    async def _chat(self, scope: Scope, receive: Receive, send: Send) -> None:
        place = self._models_by_port[scope["server"][1]]
        model = self._table.models[place]
        body = read_chat_body(await read_body(HttpRequest.of(scope), receive, _MAX_BODY_BYTES))
        if (fault := self._faults.next(model)) is not None and await self._is_ended_by(fault, receive, send):
            return
        prompt = last_user_text(body["messages"])
        outcome = self._table.find(place, prompt)
        answer = unknown_answer(model, prompt) if outcome is None else recorded_answer(model, outcome)
        if fault is not None and fault.kind is FaultKind.WRONG:
            answer = wrong_answer(answer)
        first_s, each_s = self._waits(place, answer, outcome)
        request_id = self._ids.next().text
        headers = [_MARK, (b"x-request-id", request_id.encode())]
        if answer.score is not None:
            headers.append((b"x-replay-score", repr(answer.score).encode()))
        created_s = int(self._clock.now().timestamp())
        if body.get("stream"):
            options = body.get("stream_options")
            with_usage = bool(isinstance(options, dict) and options.get("include_usage"))
            events = events_of(answer, request_id, created_s, with_usage=with_usage)
            await _send_events(events, headers, first_s, each_s * _FRAME_TOKENS, receive, send)
            return
        if await _is_gone(receive, first_s + each_s * answer.completion_tokens):
            return
        headers.append((b"content-type", b"application/json"))
        await send_whole(send, 200, headers, whole_answer(answer, request_id, created_s))

    def _waits(self, place: int, answer: ReplayedAnswer, outcome: RecordedOutcome | None) -> tuple[float, float]:
        """Seconds until the first token, and for each token: of the table of paces, or so that the record is met."""
        if self._scale == 0:
            return 0.0, 0.0
        pace = self._paces[place]
        first_s, each_s = pace.first_token_s, 1 / pace.tokens_per_s
        if outcome is not None and outcome.latency_s is not None:
            first_s = min(first_s, outcome.latency_s)
            each_s = (outcome.latency_s - first_s) / max(1, answer.completion_tokens)
        return first_s * self._scale, each_s * self._scale

    def _models(self, scope: Scope) -> dict[str, object]:
        model = self._table.models[self._models_by_port[scope["server"][1]]]
        description = "a replay provider: recorded outcomes, no model"
        entry = {"id": model, "object": "model", "created": 0, "owned_by": "replay", "description": description}
        return {"object": "list", "data": [entry]}

    # --- Faults -------------------------------------------------------------------------------------------------------

    async def _is_ended_by(self, fault: Fault, receive: Receive, send: Send) -> bool:
        """Let a fault happen; whether it was the answer."""
        if fault.kind in (FaultKind.SLOW, FaultKind.STALL) and await _is_gone(receive, fault.seconds):
            return True
        if fault.kind in (FaultKind.SLOW, FaultKind.WRONG):
            return False
        headers: Headers = [_MARK]
        code, kind = "server_error", "server_error"
        if fault.kind is FaultKind.RATE_LIMIT:
            headers.append((b"retry-after", f"{fault.seconds:g}".encode()))
            code, kind = "rate_limit_exceeded", "rate_limit_error"
        error = {"message": f"a fault was ordered: {fault.kind}", "type": kind, "param": None, "code": code}
        await send_json(send, fault.status, {"error": error}, headers)
        return True

    async def _change_faults(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if client is None or not ipaddress.ip_address(client[0]).is_loopback:
            raise RequestError("permission_denied", "faults can be ordered from this machine only")
        try:
            await self._change_as_told(scope, receive)
        except orjson.JSONDecodeError as exc:
            raise RequestError("invalid_json", f"the body is not JSON: {exc}") from exc
        except UsageError as exc:
            raise RequestError("invalid_request", str(exc)) from exc
        await send_json(send, 200, {"faults": [fault.to_json() for fault in self._faults.in_force]}, [_MARK])

    async def _change_as_told(self, scope: Scope, receive: Receive) -> None:
        if scope["method"] == "POST":
            body = await read_body(HttpRequest.of(scope), receive, _MAX_BODY_BYTES)
            self._faults.set(Fault.parse(orjson.loads(body), self._table.models))
        elif scope["method"] == "DELETE":
            asked = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True).get("model", [])
            for model in asked:
                check_model(model, self._table.models)
                self._faults.clear(model)
            if not asked:
                self._faults.clear()
        elif scope["method"] != "GET":
            raise RequestError("method_not_allowed", "expected GET, POST or DELETE")


async def _is_gone(receive: Receive, seconds: float) -> bool:
    """Wait; returns at once, and true, when the client goes away meanwhile. Its body must have been read."""
    if seconds <= 0:
        return False
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
            return True
    return False


async def _send_events(
    events: Iterable[bytes], headers: Headers, first_s: float, each_s: float, receive: Receive, send: Send
) -> None:
    """Send a stream: its first event after `first_s`, the others `each_s` apart; without a pace all at once."""
    headers += [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
    if first_s == 0 and each_s == 0:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"".join(events)})
        return
    if await _is_gone(receive, first_s):
        return
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for event in events:
        await send({"type": "http.response.body", "body": event, "more_body": True})
        if await _is_gone(receive, each_s):
            return
    await send({"type": "http.response.body", "body": b""})
