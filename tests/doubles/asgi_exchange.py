"""One HTTP exchange with an ASGI application, without a server: scripted messages in, checked messages out."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import orjson

__all__ = ["AsgiExchange", "Disconnect", "HttpAnswer", "ask"]

Message = MutableMapping[str, Any]
App = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]


class Disconnect:
    """In place of a part of the body: the client goes away."""


@dataclass
class HttpAnswer:
    """What the application sent. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    parts: list[bytes]

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.parts)

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return orjson.loads(self.body)


@dataclass
class AsgiExchange:
    """Sends one request and keeps the answer; it refuses what a server would refuse.

    `body` comes in the parts given, each after an event where one stands before it. After the last one the client
    waits, until `leave` is set. `read` counts bytes of the body, `read_until_answered` those before the answer.
    `on_part` is called for each part of the answer; what it raises, `send` raises.
    """

    method: str = "POST"
    path: str = "/v1/chat/completions"
    headers: Iterable[tuple[bytes, bytes]] = ()
    body: list[bytes | asyncio.Event | Disconnect] = field(default_factory=list)
    leave: asyncio.Event = field(default_factory=asyncio.Event)
    on_part: Callable[[bytes], None] | None = None
    status: int | None = None
    answer_headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)
    is_complete: bool = False
    read: int = 0
    read_until_answered: int | None = None

    async def run(self, app: App) -> HttpAnswer:
        """Ask; AssertionError when the answer is not one, in order and whole."""
        scope = {
            "type": "http",
            "method": self.method,
            "path": self.path,
            "query_string": b"",
            "headers": list(self.headers),
        }
        await app(scope, self.receive, self.send)
        assert self.status is not None, "the application said nothing"
        assert self.is_complete, "the answer has no end"
        return self.answer

    @property
    def answer(self) -> HttpAnswer:
        """What has come so far."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in self.answer_headers}
        assert len(headers) == len(self.answer_headers), f"a header stands twice: {self.answer_headers}"
        return HttpAnswer(self.status or 0, headers, self.parts)

    async def receive(self) -> Message:
        """The next message of the client."""
        while self.body:
            item = self.body.pop(0)
            if isinstance(item, Disconnect):
                self.leave.set()
                break
            if isinstance(item, asyncio.Event):
                await item.wait()
                continue
            self.read += len(item)
            return {"type": "http.request", "body": item, "more_body": bool(self.body)}
        await self.leave.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a message of the application."""
        await asyncio.sleep(0)
        if message["type"] == "http.response.start":
            assert self.status is None, "the answer began twice"
            self.status = message["status"]
            self.read_until_answered = self.read
            self.answer_headers = list(message["headers"])
            assert all(name == name.lower() for name, _ in self.answer_headers), "header names are in lower case"
            return
        assert message["type"] == "http.response.body", message["type"]
        assert self.status is not None, "a body came before its head"
        assert not self.is_complete, "something came after the end"
        body = message.get("body", b"")
        if body:
            self.parts.append(body)
            if self.on_part is not None:
                self.on_part(body)
        self.is_complete = not message.get("more_body", False)
        if self.is_complete:
            length = dict(self.answer_headers).get(b"content-length")
            assert length is None or int(length) == len(b"".join(self.parts)), "the length is not that of the body"


async def ask(
    app: App,
    method: str,
    path: str,
    body: Any = None,
    *,
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> HttpAnswer:
    """One plain exchange; `body` is bytes, or what is sent as JSON."""
    raw = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()]
    if key is not None:
        pairs.append((b"authorization", f"Bearer {key}".encode("latin-1")))
    return await AsgiExchange(method, path, pairs, [raw]).run(app)
