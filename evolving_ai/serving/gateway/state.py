"""What a replica runs on: live policy, pool, keys. Read from the disk when it starts, then told by control.

Every part comes as a whole with a version, and is exchanged by one assignment: a request sees one or the other.
A change is told to all replicas at once; asking again every other second heals what a replica missed.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evolving_ai._common.clock import Clock
from evolving_ai.decision.engine import DecisionEngine
from evolving_ai.domain.dna import Genome
from evolving_ai.errors import CorruptionError, EvolvingAIError
from evolving_ai.optimizer.leases import LeaseBook
from evolving_ai.router.catalog import Catalog
from evolving_ai.router.ports import Experiment, Policy
from evolving_ai.router.rate_limits import RateLimits
from evolving_ai.security.api_keys import HashedKeyRing
from evolving_ai.serving.envelope import Caller, pack, unpack
from evolving_ai.serving.gateway.app import GatewayApp
from evolving_ai.wiring.access_record import load_access
from evolving_ai.wiring.live_policy import EnginePolicy
from evolving_ai.wiring.live_record import LiveRecord, load_live
from evolving_ai.wiring.pool import Pool, load_pool
from evolving_ai.wiring.snapshots import SnapshotLibrary

__all__ = ["ReplicaState"]

_LOG = logging.getLogger(__name__)
_ASK_EVERY_S = 2.0
_KEPT_POLICIES = 2
_KEPT_ENGINES = 4


class ReplicaState:
    """Loads and exchanges what `app` runs on."""

    def __init__(
        self,
        home: Path,
        replica: str,
        app: GatewayApp,
        control: Caller,
        purse: LeaseBook,
        limiter: RateLimits,
        clock: Clock,
    ) -> None:
        self._home = home
        self.replica = replica
        self._app = app
        self._control = control
        self._purse = purse
        self._limiter = limiter
        self._clock = clock
        self._snapshots = SnapshotLibrary(home)
        self._turn = asyncio.Lock()
        self._versions = {"live": 0, "access": 0, "pool": 0}
        self._told_scopes = 0
        self._engines: dict[tuple[str, str], DecisionEngine] = {}
        self.control_is_there = False

    @property
    def versions(self) -> Mapping[str, int]:
        """Which version of each part is in use."""
        return self._versions

    def load(self) -> None:
        """Everything from the disk. DataError or CorruptionError when that is not all there."""
        self._use_pool(load_pool(self._home))
        access = load_access(self._home)
        self._use_access(access)
        self._purse.update_limits(frozenset(access["budget_scopes"]))
        live = load_live(self._home)
        if live is not None:
            self._use(*self._build(live))

    async def run(self) -> None:
        """Ask control again and again, until cancelled."""
        while True:
            await self.ask()
            await asyncio.sleep(_ASK_EVERY_S)

    async def ask(self) -> None:
        """Ask control for what is newer; without control, stay with what there is."""
        question = {"replica": self.replica, "versions": self._versions, "stats": self.stats()}
        told = self._told_scopes
        try:
            answer = unpack(await self._control.call("sync", pack(question), timeout_s=5.0)).head
        except EvolvingAIError as exc:
            self.control_is_there = False
            _LOG.warning("control cannot be asked: %s", exc)
            return
        self.control_is_there = True
        if told != self._told_scopes:
            answer.pop("budget_scopes", None)  # told meanwhile, and the answer may be older than that
        try:
            await self._apply(answer)
        except EvolvingAIError as exc:
            _LOG.warning("what control answered cannot all be used: %s", exc)

    def stats(self) -> dict[str, float]:
        """Counts of this replica, for `system/metrics`."""
        return {
            "answered": self._app.answered,
            "failed": self._app.failed,
            "in_flight": self._app.path.in_flight,
        }

    async def apply(self, update: Mapping[str, Any]) -> None:
        """Use what control tells; what is not newer is left alone.

        Keys, budgets and the pool come first: live DNA that cannot be used (DataError or CorruptionError; the former
        one stays) does not hold them up. CorruptionError when the update has another form.
        """
        if "budget_scopes" in update:
            self._told_scopes += 1
        await self._apply(update)

    async def _apply(self, update: Mapping[str, Any]) -> None:
        async with self._turn:
            with _understood():
                self._apply_access(update)  # first: a key that was revoked waits for nothing
            if (live := update.get("live")) is not None:
                with _understood():
                    record = LiveRecord.from_json(live)
                await self._apply_live(record)

    def _apply_access(self, update: Mapping[str, Any]) -> None:
        access = update.get("access")
        if access is not None and access["version"] > self._versions["access"]:
            self._use_access(access)
        if (scopes := update.get("budget_scopes")) is not None:
            self._purse.update_limits(frozenset(scopes))
        if (replicas := update.get("replicas")) is not None:
            self._limiter.share(max(1, int(replicas)))
        pool = update.get("pool")
        if pool is not None and pool["version"] > self._versions["pool"]:
            self._use_pool(Pool.from_json(pool))

    async def _apply_live(self, record: LiveRecord) -> None:
        if record.current.generation <= self._versions["live"]:
            return
        built = await asyncio.to_thread(self._build, record)  # a few milliseconds that requests need not wait for
        self._use(*built)

    def _build(self, record: LiveRecord) -> tuple[Policy, Experiment | None]:
        """The policies that a record names; those that are in use already are not made again."""
        current, canary = record.current, record.canary
        policy = self._policy(record.read_genome(), current.snapshot_hash, current.generation)
        if canary is None:
            return policy, None
        try:
            candidate = self._policy(canary.read_genome(), canary.snapshot_hash, current.generation)
        except EvolvingAIError as exc:  # whatever is wrong with a candidate, the live DNA serves
            _LOG.warning("the candidate of %s cannot be used: %s", canary.rollout, exc)
            return policy, None
        return policy, Experiment(canary.rollout, canary.share, candidate)

    def _policy(self, genome: Genome, snapshot_hash: str, generation: int) -> EnginePolicy:
        key = genome.hash, snapshot_hash
        engine = self._engines.get(key) or DecisionEngine(genome, self._snapshots.get(snapshot_hash))
        self._engines = {key: engine, **dict(list(self._engines.items())[: _KEPT_ENGINES - 1])}
        return EnginePolicy(engine, generation=generation)

    def _use(self, policy: Policy, experiment: Experiment | None) -> None:
        """Both at once: nothing is awaited in between, so a request sees the old pair or the new one."""
        path = self._app.path
        if path.policy is not None and path.policy.dna_hash != policy.dna_hash:
            others = [other for other in path.pinned if other.dna_hash != path.policy.dna_hash]
            path.pinned = (path.policy, *others)[:_KEPT_POLICIES]
        path.policy, path.experiment = policy, experiment
        self._versions["live"] = policy.generation
        _LOG.info("DNA %s with snapshot %s is live", policy.dna_hash[:12], policy.snapshot_hash[:12])
        if experiment is not None:
            dna = experiment.policy.dna_hash
            _LOG.info("DNA %s decides %g %% of the requests (%s)", dna[:12], 100 * experiment.share, experiment.rollout)

    def _use_pool(self, pool: Pool) -> None:
        self._app.path.catalog = Catalog(pool.targets, pool.aliases)
        self._versions["pool"] = pool.version

    def _use_access(self, access: Mapping[str, Any]) -> None:
        keys = HashedKeyRing(access, self._clock)
        self._limiter.update(access)
        self._app.keys = keys
        self._versions["access"] = int(access["version"])


@contextlib.contextmanager
def _understood() -> Iterator[None]:
    """What does not have the form that this release knows becomes a CorruptionError."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise CorruptionError(f"what control told has another form ({exc!r}): are all of one release?") from exc
