"""Other deployments, by Serve handle: calls that have a deadline, and a broadcast to every gateway replica.

A handle is looked up at the first call: the other application may be younger than this process. What Ray raises
becomes a PlatformError here.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from evolving_ai.errors import PlatformError
from evolving_ai.serving.answers import result_of

__all__ = ["DeploymentCaller", "ReplicaBroadcast"]

_T = TypeVar("_T")


class _Handle:
    """The handle of a deployment, once there is one."""

    def __init__(self, application: str, deployment: str) -> None:
        self.name = application
        self._deployment = deployment
        self._handle: Any = None

    async def get(self) -> Any:
        if self._handle is None:
            self._handle = await asyncio.to_thread(serve.get_deployment_handle, self._deployment, self.name)
        return self._handle


async def _within(call: Awaitable[_T], name: str, timeout_s: float) -> _T:
    try:
        async with asyncio.timeout(timeout_s):
            return await call
    except TimeoutError as exc:
        raise PlatformError(f"{name} did not answer within {timeout_s:g} s: see `evolving-ai status`") from exc
    except (RayError, RayServeException, ConnectionError) as exc:
        lines = str(exc).splitlines() or [type(exc).__name__]
        raise PlatformError(f"{name} cannot be asked ({lines[-1][:200]}): see `evolving-ai status`") from exc


class DeploymentCaller:
    """Asks one replica of another deployment: an `evolving_ai.serving.envelope.Caller`."""

    def __init__(self, application: str, deployment: str) -> None:
        self._handle = _Handle(application, deployment)

    async def call(self, method: str, payload: bytes, *, timeout_s: float = 10.0) -> bytes:
        """What it answers, or the error that it raised. PlatformError when it does not answer in time."""
        return result_of(await _within(self._ask(method, payload), self._handle.name, timeout_s))

    async def _ask(self, method: str, payload: bytes) -> Any:
        handle = await self._handle.get()
        return await handle.call.remote(method, payload)


class ReplicaBroadcast:
    """Reaches every running replica of a deployment; one that starts later has to ask by itself."""

    def __init__(self, application: str, deployment: str, *, timeout_s: float = 5.0) -> None:
        self._handle = _Handle(application, deployment)
        self._timeout_s = timeout_s

    async def broadcast(self, update: bytes) -> None:
        """Call `apply(update)` of all, and wait for all. PlatformError when one failed or was late."""
        await _within(self._tell(update), self._handle.name, self._timeout_s)

    async def _tell(self, update: bytes) -> None:
        handle = await self._handle.get()
        await handle.broadcast("apply", update).results_async()
