"""Serve's proxy takes no more of a body than the gateway would read."""

import asyncio
from typing import Any

import pytest

from evolving_ai.serving.proxy_body import BoundedBody

LIMIT = 100


async def taken_of(parts: list[bytes], max_bytes: int = LIMIT) -> tuple[list[bytes], int]:
    """What an application gets that reads until nothing comes, and how many parts were asked of the server."""
    asked = 0

    async def receive() -> Any:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": parts[asked - 1], "more_body": asked < len(parts)}

    got: list[bytes] = []

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        more = True
        while more:
            message = await receive()
            got.append(message["body"])
            more = message["more_body"]

    reading = asyncio.ensure_future(BoundedBody(app, max_bytes)({}, receive, None))
    for _ in range(10 * len(parts)):
        await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    return got, asked


@pytest.mark.parametrize("parts", [[b""], [b"x" * LIMIT], [b"x" * 40, b"y" * 60]])
def test_a_body_within_the_limit_is_passed_on_whole(parts: list[bytes]) -> None:
    assert asyncio.run(taken_of(parts)) == (parts, len(parts))


def test_of_a_body_over_the_limit_enough_is_passed_on_for_its_refusal_and_no_more_is_read() -> None:
    parts = [b"x" * 60] * 50

    got, asked = asyncio.run(taken_of(parts))

    assert LIMIT < sum(map(len, got)) <= LIMIT + 60
    assert asked == len(got) == 2


def test_who_waits_for_more_can_be_cancelled() -> None:
    async def scenario() -> None:
        async def app(_scope: Any, receive: Any, _send: Any) -> None:
            await receive()
            await receive()

        async def receive() -> Any:
            return {"type": "http.request", "body": b"x" * (LIMIT + 1), "more_body": True}

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await BoundedBody(app, LIMIT)({}, receive, None)

    asyncio.run(scenario())


def test_messages_without_a_body_are_passed_on() -> None:
    got: list[Any] = []

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        got.append(await receive())

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    asyncio.run(BoundedBody(app, LIMIT)({}, receive, None))

    assert got == [{"type": "http.disconnect"}]
