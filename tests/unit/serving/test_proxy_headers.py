"""An answer has one request id: the gateway's."""

import asyncio
from typing import Any

from evolving_ai.serving.proxy_headers import OneRequestId


def headers_of(*headers: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    sent: list[Any] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
        await send({"type": "http.response.body", "body": b"x"})

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(OneRequestId(app)({}, None, send))
    assert sent[1] == {"type": "http.response.body", "body": b"x"}
    found: list[tuple[bytes, bytes]] = sent[0]["headers"]
    return found


def test_the_first_id_stays() -> None:
    ours, serves, other = (b"x-request-id", b"req-1"), (b"X-Request-ID", b"uuid"), (b"x-other", b"1")

    assert headers_of(ours, other, serves) == [ours, other]


def test_a_single_id_is_left_alone() -> None:
    assert headers_of((b"X-Request-ID", b"uuid")) == [(b"X-Request-ID", b"uuid")]
