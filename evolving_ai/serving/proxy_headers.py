"""What Serve's own HTTP proxy is told to do with headers: the id of a request is the gateway's, and stands there once.

Serve adds an `x-request-id` of its own behind the gateway's, which is the key of feedback and of explanations.
"""

from typing import Any

from starlette.middleware import Middleware

from evolving_ai.home import resolve_home
from evolving_ai.serving.proxy_body import BoundedBody
from evolving_ai.settings import load_settings

__all__ = ["OneRequestId", "proxy_middlewares"]

_NAME = b"x-request-id"


class OneRequestId:
    """ASGI middleware: of several `x-request-id` in an answer, the first stays."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass everything on."""

        async def send_once(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": _without_repeats(message.get("headers", ()))}
            await send(message)

        await self._app(scope, receive, send_once)


def _without_repeats(headers: Any) -> list[tuple[bytes, bytes]]:
    kept: list[tuple[bytes, bytes]] = []
    is_known = False
    for name, value in headers:
        is_id = name.lower() == _NAME
        if not (is_id and is_known):
            kept.append((name, value))
        is_known = is_known or is_id
    return kept


def proxy_middlewares() -> list[Middleware]:
    """What `RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH` names; the home is that of the environment."""
    limits = load_settings(resolve_home(None)).limits
    return [Middleware(OneRequestId), Middleware(BoundedBody, max_bytes=limits.max_body_bytes)]
