"""One gateway replica: the request path, what it runs on, and what it hands over, composed and kept going.

It starts from the disk, so it serves with control dead; it ends by handing over what it still holds.
"""

import asyncio
import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from evolving_ai._common.clock import Clock, SystemClock
from evolving_ai.domain.target import ProviderKind
from evolving_ai.errors import EvolvingAIError, PlatformError
from evolving_ai.optimizer.leases import LeaseBook
from evolving_ai.router.catalog import Catalog
from evolving_ai.router.providers.litellm_provider import LitellmProvider
from evolving_ai.router.providers.openai_compatible import OpenAICompatibleProvider
from evolving_ai.router.rate_limits import RateLimits
from evolving_ai.router.request_path import PathLimits, RequestPath
from evolving_ai.router.upstream.asyncio_client import AsyncioClient
from evolving_ai.security.api_keys import HashedKeyRing
from evolving_ai.serving.envelope import Caller, unpack
from evolving_ai.serving.gateway.app import GatewayApp
from evolving_ai.serving.gateway.forwarding import add_forwarding
from evolving_ai.serving.gateway.handover import Handover
from evolving_ai.serving.gateway.openai_routes import add_openai_routes
from evolving_ai.serving.gateway.own_routes import add_own_routes
from evolving_ai.serving.gateway.state import ReplicaState
from evolving_ai.serving.spend_messages import ControlLeases
from evolving_ai.settings import Settings, load_settings
from evolving_ai.stores.outcome_codec import encode_outcomes
from evolving_ai.stores.ports import KeyLimits
from evolving_ai.wiring.access_record import load_access
from evolving_ai.wiring.pool import Pool, load_pool

__all__ = ["Gateway", "build_gateway"]

_FLUSH_S = 5.0
_MAINTAIN_EVERY_S = 0.5


class Gateway:
    """A replica without its server. `app` is the ASGI application; `start` before, `drain` after serving."""

    def __init__(self, app: GatewayApp, state: ReplicaState, handover: Handover, purse: LeaseBook) -> None:
        self.app = app
        self.state = state
        self._handover = handover
        self._purse = purse
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Load what is on the disk, ask control for what is newer (if it is there), and keep going."""
        self.state.load()
        await self.state.ask()
        loops = (self.state.run(), self._handover.run(), self._maintain())
        self._tasks = [asyncio.create_task(loop) for loop in loops]

    async def apply(self, update: bytes) -> None:
        """Take over what control told."""
        await self.state.apply(unpack(update).head)

    async def drain(self) -> None:
        """No request comes any more: hand over what is still here, and give the leases back."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._purse.close()
        await self._handover.flush(_FLUSH_S)
        await self.app.close()

    def check(self) -> None:
        """Whether everything that has to go on does; PlatformError when not, and this replica is to be replaced."""
        for task in self._tasks:
            if task.done() and not task.cancelled():
                raise PlatformError(f"a loop of this replica has ended: {task.exception()!r}")

    def stats(self) -> dict[str, float]:
        """Counts, for metrics and for autoscaling."""
        return self.state.stats()

    async def _maintain(self) -> None:
        """Renew leases, end what expired."""
        while True:
            await asyncio.sleep(_MAINTAIN_EVERY_S)
            with contextlib.suppress(EvolvingAIError):  # without control: next time
                await self._purse.maintain()


def build_gateway(
    home: Path,
    replica: str,
    control: Caller,
    *,
    clock: Clock | None = None,
    environment: Mapping[str, str] | None = None,
) -> Gateway:
    """Compose a replica. `replica` is a name that no other one ever had. Nothing is started or asked yet."""
    time = clock or SystemClock()
    variables = os.environ if environment is None else environment
    settings, pool = load_settings(home, variables), load_pool(home)
    purse = LeaseBook(ControlLeases(replica, control), time, replica=replica)
    limiter = RateLimits(time, KeyLimits(settings.limits.requests_per_minute, settings.limits.max_concurrent))
    handover = Handover(replica, control, encode_outcomes, purse)
    client = AsyncioClient()
    path = _request_path(settings, pool, purse, limiter, handover, client, time, variables)
    app = GatewayApp(
        path,
        HashedKeyRing(load_access(home), time),
        time,
        max_body_bytes=settings.limits.max_body_bytes,
        record_content=frozenset(settings.record_content),
        on_close=client.close,
    )
    state = ReplicaState(home, replica, app, control, purse, limiter, time)
    add_openai_routes(app, is_replay=pool.is_replay)
    add_own_routes(app, state, is_replay=pool.is_replay, environment=variables)
    add_forwarding(app, control, is_replay=pool.is_replay)
    return Gateway(app, state, handover, purse)


def _request_path(
    settings: Settings,
    pool: Pool,
    purse: LeaseBook,
    limiter: RateLimits,
    handover: Handover,
    client: AsyncioClient,
    clock: Clock,
    environment: Mapping[str, str],
) -> RequestPath:
    native = OpenAICompatibleProvider(client, environment, clock)
    return RequestPath(
        catalog=Catalog(pool.targets, pool.aliases),
        providers={
            ProviderKind.OPENAI: native,
            ProviderKind.REPLAY: native,
            ProviderKind.LITELLM: LitellmProvider(environment),
        },
        purse=purse,
        limiter=limiter,
        recorder=handover,
        clock=clock,
        limits=PathLimits(settings.limits.max_attempts, settings.limits.deadline_s),
    )
