"""The control plane: what other deployments ask of the owner of the databases, and what it tells them.

One method for each question, by name; every answer is made of durable state, so a control that was killed goes on
where it was. What changes is on the disk before the replicas are told.
"""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from evolving_ai import __version__
from evolving_ai._common.clock import Clock, SystemClock
from evolving_ai.errors import CorruptionError, EvolvingAIError, PlatformError, UsageError
from evolving_ai.router.catalog import Catalog
from evolving_ai.security.audit_kinds import AuditKind
from evolving_ai.serving.control.api import build_api
from evolving_ai.serving.control.gatekeeper import Gatekeeper, GatesProcess
from evolving_ai.serving.control.http import answer_envelope
from evolving_ai.serving.control.live import LiveExchange
from evolving_ai.serving.control.replicas import Replicas
from evolving_ai.serving.control.rollouts import Rollouts
from evolving_ai.serving.envelope import Caller, Envelope, pack, unpack
from evolving_ai.serving.spend_messages import SpendDesk
from evolving_ai.stores.outcome_codec import check_payload, encode_outcomes, read_header
from evolving_ai.stores.ports import OutcomeBatch, OutcomeCursor
from evolving_ai.wiring.access_record import save_access
from evolving_ai.wiring.campaign_jobs import CampaignJobs
from evolving_ai.wiring.control import ControlServices, open_control
from evolving_ai.wiring.live_record import load_live
from evolving_ai.wiring.pool import Pool, load_pool

__all__ = ["Broadcast", "ControlPlane"]

_LOG = logging.getLogger(__name__)
_EXPIRE_EVERY_S = 2.0
_COMPACT_EVERY_S = 600.0
_KEEP_RECENT_S = 24 * 3600.0
_LAST_CALLS_S = 5.0
_ACTOR = "evolving-ai"


class Broadcast(Protocol):
    """Reaches every gateway replica."""

    async def broadcast(self, update: bytes) -> None: ...


class ControlPlane:
    """Answers by `call`, and serves the API by `app`. `start` opens the databases, `stop` closes them."""

    def __init__(
        self,
        home: Path,
        broadcast: Broadcast,
        learner: Caller,
        clock: Clock | None = None,
        gatekeeper: Gatekeeper | None = None,
    ) -> None:
        self._home = home
        self._broadcast = broadcast
        self._learner = learner
        self._clock = clock or SystemClock()
        self._gatekeeper = gatekeeper or GatesProcess()
        self._stack = contextlib.ExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self._change = asyncio.Lock()
        self._calls: set[asyncio.Future[bytes]] = set()
        self._is_ending = False
        self.replicas = Replicas(self._clock)
        self.app: Any = None
        self._methods: Mapping[str, Callable[[Envelope], Awaitable[bytes]]] = {
            "sync": self._sync,
            "record": self._record,
            "settle": self._settle,
            "lease": self._lease,
            "renew": self._renew,
            "http": self._http,
            "scored": self._scored,
            "publish": self._publish,
        }

    async def start(self) -> None:
        """Open the databases and begin to answer. LockedError while another control has them; nothing stays open."""
        try:
            await self._open()
        except EvolvingAIError:
            await asyncio.to_thread(self._stack.close)
            raise
        self.app = build_api(self)
        loops = (self._expire(), self._compact(), self.rollouts.run())
        self._tasks = [asyncio.create_task(loop) for loop in loops]

    async def _open(self) -> None:
        self.services: ControlServices = await asyncio.to_thread(
            self._stack.enter_context, open_control(self._home, self._clock)
        )
        self.live = LiveExchange(self.services, self._learner, self.tell)
        self.spend = SpendDesk(self.services.budgets)
        self.campaigns = CampaignJobs(self._home, self._clock)
        await asyncio.to_thread(self.services.live.reconcile)
        await asyncio.to_thread(self._audit_start)
        await asyncio.to_thread(self._keep_access)
        self.rollouts = Rollouts(self.services, self.live, self._gatekeeper)
        await self.rollouts.resume()

    async def stop(self) -> None:
        """Answer what was asked, within seconds, and close the databases; what was acknowledged is on the disk."""
        self._is_ending = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.rollouts.stop_gating()
        if self._calls:
            await asyncio.wait(self._calls, timeout=_LAST_CALLS_S)
        await asyncio.to_thread(self._stack.close)

    def _audit_start(self) -> None:
        detail = {"version": __version__, "python": sys.version.split()[0]}
        self.services.audit.append(AuditKind.PLATFORM_STARTED, actor=_ACTOR, subject="control", detail=detail)

    def check(self) -> None:
        """Whether everything that has to go on does; PlatformError when not, and this control is to be replaced."""
        for task in self._tasks:
            if task.done() and not task.cancelled():
                raise PlatformError(f"a loop of control has ended: {task.exception()!r}")

    async def call(self, method: str, payload: bytes) -> bytes:
        """Answer a question. UsageError for a method that is unknown, PlatformError while control ends."""
        if self._is_ending:
            raise PlatformError("control is ending: it is started again by itself")
        answer = self._methods.get(method)
        if answer is None:
            raise UsageError(f"control has no method {method!r}: are all deployments of one release?")
        call = asyncio.ensure_future(answer(unpack(payload)))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        return await call

    async def tell(self, update: Mapping[str, Any]) -> bool:
        """Tell every replica, and whether all were told; one that misses it asks by itself within two seconds."""
        try:
            await self._broadcast.broadcast(pack(update))
        except EvolvingAIError as exc:
            _LOG.warning("not every replica could be told: %s", exc)
            return False
        return True

    # --- Replicas -----------------------------------------------------------------------------------------------------

    async def _sync(self, question: Envelope) -> bytes:
        """What is newer than what a replica has."""
        versions: dict[str, int] = question.head["versions"]
        self.replicas.heard(question.head["replica"], versions, question.head["stats"])
        update: dict[str, Any] = {
            "replicas": max(1, len(self.replicas.present)),
            "budget_scopes": await asyncio.to_thread(self.spend.scopes),
        }
        access = self.services.keys.snapshot()
        if access["version"] > versions["access"]:
            update["access"] = access
        for newer in (self._newer_live, self._newer_pool):
            try:
                update |= await asyncio.to_thread(newer, versions)
            except EvolvingAIError as exc:  # a damaged file must not keep a revoked key valid
                _LOG.warning("a replica cannot be told all: %s", exc)
        return pack(update)

    def _newer_live(self, versions: Mapping[str, int]) -> dict[str, Any]:
        live = load_live(self._home)
        return {"live": live.to_json()} if live is not None and live.current.generation > versions["live"] else {}

    def _newer_pool(self, versions: Mapping[str, int]) -> dict[str, Any]:
        pool = load_pool(self._home)
        return {"pool": pool.to_json()} if pool.version > versions["pool"] else {}

    async def _record(self, batch: Envelope) -> bytes:
        """Store outcomes. A batch that came damaged can never be stored: saying so lets its replica drop it."""
        try:
            await asyncio.to_thread(_check_batch, batch.body)
        except CorruptionError as exc:
            return pack({"is_new": False, "damage": str(exc)})
        outcomes = OutcomeBatch(batch.head["replica"], batch.head["sequence"], batch.body)
        is_new = await asyncio.to_thread(self.services.outcomes.append, outcomes)
        self.rollouts.heard()
        return pack({"is_new": is_new})

    async def _settle(self, batch: Envelope) -> bytes:
        return await asyncio.to_thread(self.spend.settle, batch)

    async def _lease(self, question: Envelope) -> bytes:
        return await asyncio.to_thread(self.spend.lease, question)

    async def _renew(self, question: Envelope) -> bytes:
        return await asyncio.to_thread(self.spend.renew, question)

    async def _http(self, request: Envelope) -> bytes:
        return await answer_envelope(self.app, request)

    # --- The learner --------------------------------------------------------------------------------------------------

    async def _scored(self, question: Envelope) -> bytes:
        """Scored outcomes after a cursor, with the live DNA that they are to be learned for."""
        cursor = OutcomeCursor(*question.head["cursor"])
        found, after = await asyncio.to_thread(self.services.outcomes.scored, cursor, question.head["limit"])
        head = {
            "cursor": list(after),
            "scores": [[signal.score, signal.previous] for signal in found],
            "live": self.services.live.record.to_json(),
        }
        return pack(head, encode_outcomes([signal.outcome for signal in found]))

    async def _publish(self, message: Envelope) -> bytes:
        is_used = await self.live.refit(message.head["snapshot_hash"], message.head["dna_hash"])
        return pack({"is_used": is_used})

    # --- Changes ------------------------------------------------------------------------------------------------------

    async def keys_changed(self) -> None:
        """Keep and tell which keys are valid now."""
        async with self._change:  # or what was read first could be kept last
            await self.tell({"access": await asyncio.to_thread(self._keep_access)})

    async def budgets_changed(self) -> None:
        """Keep and tell which principals have a budget now."""
        async with self._change:
            access = await asyncio.to_thread(self._keep_access)
            await self.tell({"budget_scopes": access["budget_scopes"]})

    def _keep_access(self) -> Mapping[str, Any]:
        access = {**self.services.keys.snapshot(), "budget_scopes": self.spend.scopes()}
        save_access(self._home, access)
        return access

    async def exchange_aliases(self, aliases: Mapping[str, Sequence[str]], *, actor: str) -> None:
        """Exchange all aliases and tell it; it stands in the audit log before it counts.

        SettingsError when one names nothing: then nothing is changed.
        """
        async with self._change:
            pool = await asyncio.to_thread(self._change_aliases, aliases, actor)
            await self.tell({"pool": pool.to_json()})

    def _change_aliases(self, aliases: Mapping[str, Sequence[str]], actor: str) -> Pool:
        before = load_pool(self._home)
        changed = {alias: tuple(members) for alias, members in aliases.items()}
        Catalog(before.targets, changed)  # refuses what cannot be
        pool = replace(before, aliases=changed, version=before.version + 1)
        detail = {"aliases": {alias: list(members) for alias, members in changed.items()}, "version": pool.version}
        self.services.audit.append(AuditKind.CONFIG_CHANGED, actor=actor, subject="pool", detail=detail)
        pool.save(self._home)
        return pool

    # --- In the background --------------------------------------------------------------------------------------------

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(_EXPIRE_EVERY_S)
            try:
                await asyncio.to_thread(self.spend.expire)
                await asyncio.to_thread(self.campaigns.reap)
            except EvolvingAIError as exc:  # the disk is full, perhaps: nothing is leased then, either
                _LOG.warning("leases that are over were not ended: %s", exc)

    async def _compact(self) -> None:
        while True:
            await asyncio.sleep(_COMPACT_EVERY_S)
            try:
                before_s = self._clock.now().timestamp() - _KEEP_RECENT_S
                moved = await asyncio.to_thread(self.services.outcomes.compact, before_s)
                _LOG.info("moved %d outcomes to the archive", moved)
            except EvolvingAIError as exc:
                _LOG.warning("outcomes were not moved to the archive: %s", exc)


def _check_batch(payload: bytes) -> None:
    """CorruptionError when a batch is not what this release writes."""
    head, _ = check_payload(payload)
    read_header(head)
