"""Errors as each dialect says them."""

from typing import Any

import orjson

from evolving_ai.domain.problem import PROBLEMS
from evolving_ai.errors import RequestError, UpstreamError
from evolving_ai.router.failures import refusal_status
from evolving_ai.serving.gateway.messages import Headers, Send, problem_headers, send_json, send_whole

__all__ = ["openai_error", "own_error", "send_problem", "send_refusal"]


def openai_error(exc: RequestError) -> dict[str, Any]:
    """OpenAI's error object: all four keys, always."""
    text = str(exc) if exc.hint is None else f"{exc} ({exc.hint})"
    problem = PROBLEMS[exc.code]
    return {"error": {"message": text, "type": problem.openai_type, "param": exc.param, "code": exc.code}}


def own_error(exc: RequestError, request_id: str | None) -> dict[str, Any]:
    """The error object of `/api/v1`."""
    return {"error": {"code": exc.code, "message": str(exc), "hint": exc.hint, "request_id": request_id}}


async def send_problem(send: Send, exc: RequestError, *, path: str, request_id: str) -> None:
    """Say it in the dialect of the route."""
    document = own_error(exc, request_id) if path.startswith("/api/") else openai_error(exc)
    headers = [*problem_headers(exc), (b"x-request-id", request_id.encode())]
    await send_json(send, PROBLEMS[exc.code].status, document, headers)


async def send_refusal(send: Send, exc: UpstreamError, *, path: str, request_id: str) -> None:
    """Pass on what a provider found wrong with the request, as it said it."""
    headers: Headers = [(b"x-request-id", request_id.encode()), (b"x-should-retry", b"false")]
    refusal = RequestError("invalid_request", str(exc))
    body = exc.body
    if body is None or path.startswith("/api/"):
        body = orjson.dumps(own_error(refusal, request_id) if path.startswith("/api/") else openai_error(refusal))
    await send_whole(send, refusal_status(exc), [(b"content-type", b"application/json"), *headers], body)
