"""What Serve's own HTTP proxy is told to do with bodies: it takes no more of one than the gateway would read.

Serve's proxy reads a body as fast as it comes and keeps all of it, before and after the gateway has refused it. The
refusal itself is the gateway's: here reading only pauses, so that the client's network does the waiting.
"""

import asyncio
from typing import Any

__all__ = ["BoundedBody"]


class BoundedBody:
    """ASGI middleware: once more than `max_bytes` of a body have come, no more of it is read."""

    def __init__(self, app: Any, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass everything else on. Who awaits what is held back is cancelled when the answer has gone out."""
        taken = 0

        async def receive_bounded() -> Any:
            nonlocal taken
            if taken > self._max_bytes:
                await asyncio.Event().wait()
            message = await receive()
            taken += len(message.get("body", b""))
            return message

        await self._app(scope, receive_bounded, send)
