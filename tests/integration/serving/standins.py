"""Small plain objects in place of the gateway, control and the learner, so that the shell is tested without them."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from evolving_ai.errors import EvolvingAIError, RequestError

__all__ = ["StandInControl", "StandInGateway", "StandInLearner", "fail_to_build"]


class StandInGateway:
    """Says who it is, what it was told, and what control answers; counts what it is answering."""

    def __init__(self, home: Path, replica: str, control: Any) -> None:
        self.home = home
        self.replica = replica
        self.control = control
        self.told = ""
        self.in_flight = 0

    async def start(self) -> None:
        pass

    def check(self) -> None:
        """All is well."""

    async def drain(self) -> None:
        with (self.home / "drained.txt").open("a") as file:
            file.write(f"{self.replica}\n")

    async def apply(self, update: bytes) -> None:
        self.told = update.decode()

    def stats(self) -> dict[str, float]:
        return {"in_flight": self.in_flight}

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        self.in_flight += 1
        try:
            status, document = await self._answer(scope["path"])
        finally:
            self.in_flight -= 1
        body = json.dumps(document).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        headers.append((b"x-request-id", b"ours"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, path: str) -> tuple[int, dict[str, Any]]:
        _, verb, *rest = path.split("/")
        if verb == "sleep":
            await asyncio.sleep(float(rest[0]))
        if verb == "control":
            try:
                answer = await self.control.call(rest[0], "/".join(rest[1:]).encode(), timeout_s=3.0)
            except EvolvingAIError as exc:
                return 503, {"error": type(exc).__name__, "message": str(exc), "code": getattr(exc, "code", None)}
            return 200, {"answer": answer.decode()}
        return 200, {"replica": self.replica, "pid": os.getpid(), "told": self.told}


class StandInControl:
    """Answers `echo`, fails on `refuse`, tells the replicas on `tell`, asks the learner on `learn`."""

    def __init__(self, home: Path, broadcast: Any, learner: Any) -> None:
        self.home = home
        self.broadcast = broadcast
        self.learner = learner

    async def start(self) -> None:
        pass

    def check(self) -> None:
        """All is well."""

    async def stop(self) -> None:
        (self.home / "control-stopped.txt").write_text("yes")

    async def call(self, method: str, payload: bytes) -> bytes:
        if method == "refuse":
            raise RequestError("budget_exceeded", "the budget is spent", hint="raise it")
        if method == "tell":
            await self.broadcast.broadcast(payload)
        if method == "learn":
            return bytes(await self.learner.call("echo", payload))
        return str(os.getpid()).encode() if method == "pid" else payload


class StandInLearner:
    """Echoes."""

    def __init__(self, home: Path, control: Any) -> None:
        self.control = control

    async def start(self) -> None:
        pass

    def check(self) -> None:
        """All is well."""

    async def stop(self) -> None:
        pass

    async def call(self, method: str, payload: bytes) -> bytes:
        return payload[::-1]


def fail_to_build(home: Path, *_: Any) -> Any:
    """A builder that always fails."""
    raise RuntimeError("this builder fails on purpose")
