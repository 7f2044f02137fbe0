"""HTTP as the gateway's routes see it: requests read from ASGI under limits, answers written to it."""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson

from evolving_ai.domain.problem import PROBLEMS
from evolving_ai.errors import RequestError

__all__ = [
    "Headers",
    "HttpRequest",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "lingering",
    "problem_headers",
    "read_body",
    "send_json",
    "send_whole",
]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

_BODY_TIMEOUT_S = 30.0
_LINGER_S = 2.0
_LINGER_BYTES = 64 * 2**20
_LENGTH_DIGITS = 18
"""More is too large anyway, and thousands of digits are more than int reads."""
_JSON = (b"content-type", b"application/json")


@dataclass(slots=True)
class HttpRequest:
    """The parts of a request's head that the gateway reads. `extras` are the `x-evolving-` headers, without that."""

    method: str
    path: str
    secret: str | None
    content_length: int | None
    content_encoding: bytes | None
    extras: dict[str, str] | None

    @classmethod
    def of(cls, scope: Scope) -> "HttpRequest":
        """Read the head: any bytes will do."""
        secret = length = encoding = None
        extras: dict[str, str] | None = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                secret = value[7:] if value[:7].lower() == b"bearer " else value
            elif name == b"x-api-key" and secret is None:
                secret = value
            elif name == b"content-length":
                length = int(value[:_LENGTH_DIGITS]) if value.isdigit() else None
            elif name == b"content-encoding":
                encoding = value
            elif name.startswith(b"x-evolving-"):
                extras = extras or {}
                extras[name[11:].decode("latin-1")] = value.decode("latin-1")
        text = None if secret is None else secret.decode("latin-1").strip()
        return cls(scope["method"], scope["path"], text, length, encoding, extras)


async def read_body(request: HttpRequest, receive: Receive, max_bytes: int) -> bytes:
    """The whole body. RequestError `body_too_large` as soon as that is known, also while it is still coming.

    A body of which nothing comes is the server's business (`serving.server`): its first piece is awaited as it is.
    """
    if request.content_encoding not in (None, b"identity"):
        raise RequestError("unsupported_encoding", "the body is compressed: send it as it is")
    if request.content_length is not None and request.content_length > max_bytes:
        raise _too_large(max_bytes)
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return _complete(message, body, max_bytes)
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            return await _rest_of_body(body, receive, max_bytes)
    except TimeoutError as exc:
        raise RequestError("invalid_request", f"the body did not arrive within {_BODY_TIMEOUT_S:.0f} s") from exc


async def _rest_of_body(first: bytes, receive: Receive, max_bytes: int) -> bytes:
    parts, size, more = [first], len(first), True
    message: Message = {}
    while more:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > max_bytes:
            raise _too_large(max_bytes)
        parts.append(part)
        more = message.get("more_body", False)
    return _complete(message, b"".join(parts), max_bytes)


def _complete(message: Message, body: bytes, max_bytes: int) -> bytes:
    if message["type"] == "http.disconnect":
        raise RequestError("client_closed", "the client went away while it sent the body")
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    return body


def _too_large(max_bytes: int) -> RequestError:
    return RequestError("body_too_large", f"the body is larger than {max_bytes} bytes: send less")


def lingering(send: Send, receive: Receive) -> Send:
    """A way to answer a request whose body is still coming: the answer goes out, then the rest is read for a moment.

    To close on unread bytes would make the system take the answer back before the client has read it.
    """

    async def send_and_read_on(message: Message) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            await send({**message, "more_body": True})
            await _discard(receive)
            message = {"type": "http.response.body", "body": b""}
        await send(message)

    return send_and_read_on


async def _discard(receive: Receive) -> None:
    left = _LINGER_BYTES
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_S):
            while left > 0:
                message = await receive()
                if not message.get("more_body", False):
                    return
                left -= len(message.get("body", b""))


async def send_whole(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """An answer that is complete."""
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_json(send: Send, status: int, document: Any, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """An answer in JSON."""
    await send_whole(send, status, [_JSON, *headers], orjson.dumps(document))


def problem_headers(exc: RequestError) -> Headers:
    """The headers that tell a client whether and when to ask again.

    OpenAI's SDKs obey `x-should-retry` and `retry-after-ms`; `retry-after` is whole seconds for everybody else.
    """
    problem = PROBLEMS[exc.code]
    headers: Headers = [(b"x-should-retry", b"true" if problem.is_retryable else b"false")]
    if exc.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(exc.retry_after_s))))
        headers.append((b"retry-after-ms", b"%d" % max(1, math.ceil(exc.retry_after_s * 1000))))
    if problem.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if exc.code in ("body_too_large", "client_closed"):
        headers.append((b"connection", b"close"))  # what is still coming of the body will not be read
    return headers
