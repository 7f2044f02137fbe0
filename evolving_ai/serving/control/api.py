"""The API of the control deployment: its routers, the one error form, the OpenAPI document of the whole platform."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from evolving_ai import __version__
from evolving_ai.domain.problem import PROBLEMS
from evolving_ai.errors import (
    EvolvingAIError,
    LockedError,
    PlatformError,
    RefConflictError,
    RefNotFoundError,
    RequestError,
    UsageError,
)
from evolving_ai.security.access import allowed
from evolving_ai.serving.api.ai import ai_router
from evolving_ai.serving.api.audit import audit_router
from evolving_ai.serving.api.budgets import budgets_router
from evolving_ai.serving.api.decisions import decisions_router
from evolving_ai.serving.api.dna import dna_router
from evolving_ai.serving.api.evolution import evolution_router
from evolving_ai.serving.api.keys import keys_router
from evolving_ai.serving.api.rollouts import rollouts_router
from evolving_ai.serving.api.system import system_router
from evolving_ai.serving.control.desk import ControlDesk, ControlParts
from evolving_ai.serving.gateway.messages import problem_headers
from evolving_ai.serving.gateway.problems import own_error

__all__ = ["api_error", "build_api"]

_RETRY_S = 2.0


def build_api(plane: ControlParts) -> FastAPI:
    """The ASGI application. Requests come with a principal that the gateway found (see `control.http`)."""
    app = FastAPI(
        title="evolving_ai",
        version=__version__,
        description="An LLM gateway that improves itself. OpenAI's routes are under /v1, everything else here.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    desk = ControlDesk(plane)
    routers = (
        ai_router(),
        decisions_router(desk),
        dna_router(desk),
        evolution_router(desk.evolution),
        rollouts_router(desk.rollouts),
        keys_router(desk),
        budgets_router(desk),
        audit_router(desk),
        system_router(desk),
    )
    for router in routers:
        app.include_router(router)
    app.add_exception_handler(EvolvingAIError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.middleware("http")(_check_access)
    return app


async def _check_access(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """The table of access decides once more, where the route is known for sure."""
    principal = request.scope.get("principal")
    if not allowed(principal, request.method, request.url.path):
        refused = RequestError("permission_denied", f"{request.method} {request.url.path} needs another role")
        return _answer(refused, request)
    return await call_next(request)


def api_error(exc: EvolvingAIError) -> RequestError:
    """An error of the program as an error of the API."""
    if isinstance(exc, RequestError):
        return exc
    if isinstance(exc, RefNotFoundError):
        return RequestError("not_found", str(exc))
    if isinstance(exc, LockedError | RefConflictError):
        return RequestError("conflict", str(exc))
    if isinstance(exc, PlatformError):
        hint = "nothing was changed; what is away is started again by itself"
        return RequestError("not_ready", str(exc), hint=hint, retry_after_s=_RETRY_S)
    return RequestError("invalid_request" if isinstance(exc, UsageError) else "internal_error", str(exc))


def _answer(exc: RequestError, request: Request) -> Response:
    document: dict[str, Any] = own_error(exc, request.scope.get("request_id"))
    headers = {name.decode(): value.decode() for name, value in problem_headers(exc)}
    return JSONResponse(document, status_code=PROBLEMS[exc.code].status, headers=headers)


async def _answer_error(request: Request, exc: Any) -> Response:
    return _answer(api_error(exc), request)


async def _answer_invalid(request: Request, exc: Any) -> Response:
    first = exc.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    if first["type"] == "json_invalid":
        return _answer(RequestError("invalid_json", "the body is not JSON", hint="send one JSON object"), request)
    text = f"{where or 'the body'}: {first['msg'].lower()}"
    return _answer(RequestError("invalid_request", text, param=where or None), request)


async def _answer_http_error(request: Request, exc: Any) -> Response:
    if exc.status_code == 400:  # what FastAPI says of a body that it cannot even read
        return _answer(RequestError("invalid_json", "the body is not JSON", hint="send one JSON object"), request)
    if exc.status_code == 405:
        return _answer(RequestError("method_not_allowed", f"{request.method} is not for {request.url.path}"), request)
    return _answer(RequestError("not_found", f"there is nothing at {request.url.path[:200]}"), request)
