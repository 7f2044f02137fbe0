"""Answers and failures of httpx as results and errors of this package: the one place that maps them."""

from typing import Any, TypeVar

import httpx

from evolving_ai.sdk.call import ApiCall
from evolving_ai.sdk.errors import ApiConnectionError, ApiError, ApiTimeoutError, answered_error, malformed_answer
from evolving_ai.sdk.options import ClientOptions
from evolving_ai.sdk.retries import Failure

__all__ = ["broken_stream", "client_settings", "connection_failure", "read_failure", "read_result", "timeout_of"]

_Result = TypeVar("_Result")
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
_MAX_CONNECTIONS = 1000
_MAX_IDLE_CONNECTIONS = 100


def client_settings(options: ClientOptions) -> dict[str, Any]:
    """The arguments of httpx's clients. A redirect is not followed: it could carry the key elsewhere."""
    return {
        "headers": options.headers,
        "follow_redirects": False,
        "trust_env": not options.is_loopback,
        "limits": httpx.Limits(max_connections=_MAX_CONNECTIONS, max_keepalive_connections=_MAX_IDLE_CONNECTIONS),
    }


def timeout_of(options: ClientOptions, call: ApiCall[Any]) -> httpx.Timeout:
    """How patient one call is."""
    return httpx.Timeout(call.timeout_s or options.timeout_s, connect=options.connect_timeout_s)


def read_result(call: ApiCall[_Result], response: httpx.Response) -> _Result:
    """The result of an answer that is no error. ApiError when it is not what the call expects."""
    try:
        return call.read(response.json())
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        what = f"the answer to {call.method} {call.path} cannot be read"
        raise malformed_answer(
            what, status=response.status_code, request_id=response.headers.get("x-request-id")
        ) from exc


def read_failure(response: httpx.Response) -> Failure:
    """What an answer says that is an error. Its body must have been read."""
    if response.is_redirect:
        what = f"the platform answered with a redirect to {response.headers['location'][:200]}"
        return Failure(malformed_answer(what, status=response.status_code), was_sent=True, should_retry=False)
    try:
        document = response.json()
    except (ValueError, RecursionError):
        document = None
    advice = {"true": True, "false": False}.get(response.headers.get("x-should-retry", ""))
    return Failure(answered_error(response.status_code, response.headers, document), was_sent=True, should_retry=advice)


def connection_failure(exc: httpx.RequestError, options: ClientOptions) -> Failure:
    """A call that got no answer, or not the whole of it; the cause is chained."""
    was_sent = not isinstance(exc, _NEVER_SENT)
    error = broken_stream(exc) if was_sent else _unreachable(exc, options)
    error.__cause__ = exc
    return Failure(error, was_sent)


def broken_stream(exc: httpx.RequestError, request_id: str | None = None) -> ApiError:
    """An answer that did not come whole."""
    if isinstance(exc, httpx.TimeoutException):
        hint = "a longer timeout_s waits longer"
        return ApiTimeoutError("nothing came in time", code="timeout", hint=hint, request_id=request_id)
    text = f"the connection broke: {_reason(exc)}"
    return ApiConnectionError(text, code="connection_failed", request_id=request_id)


def _unreachable(exc: httpx.RequestError, options: ClientOptions) -> ApiError:
    hint = "is the platform running (`evolving-ai up`), and base_url right?"
    text = f"{options.base_url} cannot be reached: {_reason(exc)}"
    if isinstance(exc, httpx.TimeoutException):
        return ApiTimeoutError(text, code="timeout", hint=hint)
    return ApiConnectionError(text, code="connection_failed", hint=hint)


def _reason(exc: httpx.RequestError) -> str:
    """One line; httpx says nothing where the operating system said nothing."""
    return " ".join(str(exc).split()) or type(exc).__name__
