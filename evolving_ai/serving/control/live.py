"""Exchanging what is live, and the candidate beside it: fit the snapshot, write the record, tell every replica."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from evolving_ai.decision.fitting import fit_genes
from evolving_ai.domain.dna import Commit, Genome
from evolving_ai.errors import CorruptionError, DataError, StorageError, UsageError
from evolving_ai.serving.envelope import Caller, pack, unpack
from evolving_ai.wiring.control import ControlServices
from evolving_ai.wiring.live_record import CanaryVersion, LiveRecord, genome_json
from evolving_ai.wiring.pool import load_pool

__all__ = ["LiveExchange", "live_view"]

_FIT_TIMEOUT_S = 120.0
_KEPT_SNAPSHOTS = 20


class LiveExchange:
    """Promotes, rolls back and refits, one after the other. `tell` reaches every replica, and says whether it did.

    `has_reached_all`: whether every replica was told of the last exchange at once.
    """

    def __init__(
        self,
        services: ControlServices,
        learner: Caller,
        tell: Callable[[Mapping[str, Any]], Awaitable[bool]],
    ) -> None:
        self._services = services
        self._learner = learner
        self._tell = tell
        self._turn = asyncio.Lock()
        self.has_reached_all = True

    async def promote(self, ref: str, *, actor: str, reason: str) -> LiveRecord:
        """Make the DNA that `ref` names live. UsageError when it is already, RefNotFoundError when there is none."""
        async with self._turn:
            commit = await asyncio.to_thread(self._services.history.resolve, ref)
            snapshot_hash = await self._snapshot_for(commit.genome)
            record = await asyncio.to_thread(
                lambda: self._services.live.promote(commit, snapshot_hash, actor=actor, reason=reason)
            )
            return await self._published(record)

    async def roll_back(self, *, actor: str, reason: str) -> LiveRecord:
        """Make the DNA that was live before live again. UsageError when there is none."""
        async with self._turn:
            target = self._services.live.record.rollback_target()
            commit: Commit = await asyncio.to_thread(self._services.history.resolve, target.commit)
            snapshot_hash = target.snapshot_hash
            if not self._fits(snapshot_hash, commit.genome):
                snapshot_hash = await self._snapshot_for(commit.genome)
            record = await asyncio.to_thread(
                lambda: self._services.live.roll_back(commit, snapshot_hash, actor=actor, reason=reason)
            )
            return await self._published(record)

    async def begin_canary(self, rollout: str, commit: Commit, share: float) -> LiveRecord:
        """Let `commit` decide a share of the requests. UsageError when it is live, or another rollout has begun."""
        async with self._turn:
            record = self._services.live.record
            if record.current.dna_hash == commit.genome.hash:
                raise UsageError(f"DNA {commit.genome.hash[:12]} is live already")
            if record.canary is not None and record.canary.rollout != rollout:
                raise UsageError(f"{record.canary.rollout} is under way: `evolving-ai rollout stop` ends it")
            snapshot_hash = await self._snapshot_for(commit.genome)
            genome = genome_json(commit.genome)
            canary = CanaryVersion(rollout, share, commit.hash, commit.genome.hash, snapshot_hash, genome)
            return await self._published(await asyncio.to_thread(self._services.live.let_decide, canary))

    async def resize_canary(self, rollout: str, share: float) -> bool:
        """Give the candidate of `rollout` another share; False when it is not there any more."""
        async with self._turn:
            canary = self._services.live.record.canary
            if canary is None or canary.rollout != rollout:
                return False
            resized = replace(canary, share=share)
            await self._published(await asyncio.to_thread(self._services.live.let_decide, resized))
            return True

    async def promote_canary(self, rollout: str, *, actor: str, reason: str) -> bool:
        """Make the candidate of `rollout` live, as it was tried; False when it is gone."""
        async with self._turn:
            canary = self._services.live.record.canary
            if canary is None or canary.rollout != rollout:
                return False
            commit = await asyncio.to_thread(self._services.history.resolve, canary.commit)
            snapshot_hash = canary.snapshot_hash
            if not self._fits(snapshot_hash, commit.genome):
                snapshot_hash = await self._snapshot_for(commit.genome)
            record = await asyncio.to_thread(
                lambda: self._services.live.promote(commit, snapshot_hash, actor=actor, reason=reason)
            )
            await self._published(record)
            return True

    async def end_canary(self, rollout: str) -> bool:
        """Let the live DNA decide everything again; False when the candidate is gone already.

        Replicas are told also when that cannot be written down (StorageError then: try again): a harmful candidate
        must not go on because a disk is full.
        """
        async with self._turn:
            record = self._services.live.record
            if record.canary is None or record.canary.rollout != rollout:
                return False
            try:
                ended = await asyncio.to_thread(self._services.live.let_decide, None)
            except StorageError:
                await self._tell({"live": record.with_canary(None).to_json()})
                raise
            await self._published(ended)
            return True

    async def refit(self, snapshot_hash: str, dna_hash: str) -> bool:
        """Exchange the snapshot of the live DNA; False when other DNA is live by now."""
        async with self._turn:
            record = self._services.live.record
            if record.current.dna_hash != dna_hash or record.current.snapshot_hash == snapshot_hash:
                return False
            if not self._fits(snapshot_hash, record.read_genome()):
                return False
            refitted = await asyncio.to_thread(
                lambda: self._services.live.refit(snapshot_hash, reason="learned from outcomes")
            )
            await self._published(refitted)
            return True

    async def _published(self, record: LiveRecord) -> LiveRecord:
        self.has_reached_all = await self._tell({"live": record.to_json()})
        kept = {record.current.snapshot_hash, *(version.snapshot_hash for version in record.previous)}
        kept |= set() if record.canary is None else {record.canary.snapshot_hash}
        await asyncio.to_thread(self._services.snapshots.prune, kept, keep=_KEPT_SNAPSHOTS)
        return record

    def _fits(self, snapshot_hash: str, genome: Genome) -> bool:
        """Whether a snapshot is there and was fitted with the genes of `genome` for the pool of today."""
        try:
            snapshot = self._services.snapshots.get(snapshot_hash)
        except (DataError, CorruptionError):
            return False
        pool = load_pool(self._services.home)
        return dict(snapshot.fit_genes) == fit_genes(genome.genes) and snapshot.models == pool.models

    async def _snapshot_for(self, genome: Genome) -> str:
        """A snapshot for `genome`: the live one where its genes allow, else one that the learner fits now."""
        current = self._services.live.record.current.snapshot_hash
        if self._fits(current, genome):
            return current
        answer = await self._learner.call("fit", pack({"genome": genome_json(genome)}), timeout_s=_FIT_TIMEOUT_S)
        fitted: str = unpack(answer).head["snapshot_hash"]
        if not self._fits(fitted, genome):
            raise UsageError(f"the learner fitted no usable snapshot for DNA {genome.hash[:12]}: see its log")
        return fitted


def live_view(record: LiveRecord) -> dict[str, Any]:
    """The live DNA as the API shows it."""
    return {
        "generation": record.current.generation,
        "commit": record.current.commit,
        "dna_hash": record.current.dna_hash,
        "snapshot_hash": record.current.snapshot_hash,
        "since": record.current.since,
        "actor": record.current.actor,
        "reason": record.current.reason,
        "genes": dict(record.genome["genes"]),
    }
