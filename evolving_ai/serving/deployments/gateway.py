"""The gateway's deployments: one for each profile, around the same plain object.

`direct`: the replica accepts connections itself, on the listening socket of its node. `serve_ingress`: Serve's proxy
passes requests on. Serve ends a replica by awaiting `__del__`; in it, what was asked is answered first.
"""

import asyncio
import contextlib
import gc
from typing import Any

from evolving_ai._common.busyness import Busyness
from evolving_ai._common.clock import SystemClock
from evolving_ai._common.ids import new_id
from evolving_ai.home import resolve_home
from evolving_ai.serving.autoscaling import BUSY, IN_FLIGHT
from evolving_ai.serving.deployments.factory import load_factory
from evolving_ai.serving.handles import DeploymentCaller
from evolving_ai.serving.listener import receive_listener
from evolving_ai.serving.process_log import log_to_home
from evolving_ai.serving.server import ReplicaServer

__all__ = ["DirectGateway", "IngressGateway"]

_SAMPLE_EVERY_S = 1.0
_ALLOCATIONS_BETWEEN_COLLECTIONS = 50_000


class _GatewayShell:
    """What both profiles have in common."""

    async def _begin(self, builder: str) -> None:
        home = resolve_home(None)
        log_to_home(home, "gateway")
        self._gateway: Any = load_factory(builder)(home, new_id("gateway"), DeploymentCaller("control", "control"))
        self._busy = 0.0
        await self._gateway.start()
        _let_garbage_wait()
        self._sampling = asyncio.create_task(self._sample())

    async def _end(self) -> None:
        self._sampling.cancel()
        await self._gateway.drain()

    async def _sample(self) -> None:
        busyness = Busyness(SystemClock())
        while True:
            await asyncio.sleep(_SAMPLE_EVERY_S)
            self._busy = busyness.share()

    def check_health(self) -> None:
        """Serve asks every other second, and replaces a replica that raises."""
        self._gateway.check()

    async def apply(self, update: bytes) -> None:
        """Take over what control tells every replica."""
        await self._gateway.apply(update)

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """What the autoscaling policy reads."""
        return {IN_FLIGHT: float(self._gateway.stats().get(IN_FLIGHT, 0.0)), BUSY: self._busy}


def _let_garbage_wait() -> None:
    """Look for cyclic garbage less often: requests make hardly any, and what was loaded so far is there to stay."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS_BETWEEN_COLLECTIONS, 20, 50)


class DirectGateway(_GatewayShell):
    """A replica with a server of its own."""

    async def __init__(self, builder: str, quiet_s: float, patience_s: float) -> None:  # type: ignore[misc]
        self._quiet_s, self._patience_s = quiet_s, patience_s
        await self._begin(builder)
        self._server = ReplicaServer(self._gateway.app, receive_listener())
        await self._server.start()

    async def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # it never came to that: its constructor failed
            await self._server.drain(quiet_s=self._quiet_s, patience_s=self._patience_s)
            await self._end()


class IngressGateway(_GatewayShell):
    """A replica behind Serve's proxy, which ends it when nothing is in flight any more."""

    async def __init__(self, builder: str) -> None:  # type: ignore[misc]
        await self._begin(builder)

    def __serve_build_asgi_app__(self) -> Any:
        return _with_lifespan(self._gateway.app)

    async def __del__(self) -> None:
        with contextlib.suppress(AttributeError):
            await self._end()


def _with_lifespan(app: Any) -> Any:
    """`app`, which knows HTTP alone, for a server that also says when it begins and ends."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        kind = ""
        while kind != "lifespan.shutdown":
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})

    return answer
