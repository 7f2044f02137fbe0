"""The steps of a rollout, each written down before it is done, and done again by whoever finds it there.

Order of a step: intent on the disk, the exchange on every replica, the audit log, the new state on the disk. A control
that is killed in between finds the intent when it is back; doing a step twice changes nothing and is told once.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from evolving_ai.domain.rollout import RolloutState
from evolving_ai.errors import DataError, RefNotFoundError, StorageError, UsageError
from evolving_ai.security.audit_kinds import AuditKind
from evolving_ai.serving.control.live import LiveExchange
from evolving_ai.wiring.control import ControlServices
from evolving_ai.wiring.rollout_records import RolloutFolder, RolloutRecord, Transition

__all__ = ["EXCHANGED", "SYSTEM", "RolloutSteps"]

_LOG = logging.getLogger(__name__)
SYSTEM = "evolving-ai"
"""Who acts when nobody does."""
EXCHANGED = "the live DNA was exchanged by hand"


class RolloutSteps:
    """Takes steps of the rollout that is under way: `current`, None when none is. One caller at a time."""

    def __init__(self, services: ControlServices, live: LiveExchange, folder: RolloutFolder) -> None:
        self._services = services
        self._live = live
        self._folder = folder
        self._may_repeat = True  # a step that was begun earlier may have been told already
        self.current: RolloutRecord | None = None

    async def begin(self, record: RolloutRecord) -> None:
        """Tell the audit log of a new rollout, and write it down: what is not under way afterwards, never was."""
        detail = {
            "candidate": record.candidate.dna_hash,
            "commit": record.candidate.commit,
            "incumbent": record.incumbent.dna_hash,
            "plan": record.plan.to_json(),
            "reason": record.transitions[0].reason,
        }
        await asyncio.to_thread(
            lambda: self._services.audit.append(
                AuditKind.ROLLOUT_STARTED, actor=record.actor, subject=record.id, detail=detail
            )
        )
        await asyncio.to_thread(self._folder.save, record)
        self.current = record

    async def take(
        self,
        record: RolloutRecord,
        state: RolloutState,
        reason: str,
        evidence: Mapping[str, Any] | None = None,
        *,
        share: float | None = None,
        actor: str = SYSTEM,
    ) -> RolloutRecord:
        """Bring the rollout into another state, whatever that needs; the record then.

        When that fails in the middle (PlatformError, StorageError), the intent stands in `current`: `finish` goes on.
        A candidate is taken away from the traffic also when nothing can be written down.
        """
        record = record.intending(self._step(state, reason, evidence, share=share, actor=actor))
        self.current = record
        try:
            await asyncio.to_thread(self._folder.save, record)
        except StorageError:
            if state not in (RolloutState.ROLLED_BACK, RolloutState.STOPPED):
                raise
            _LOG.warning("%s cannot be written down, and is ended all the same", record.id)
        return await self.finish(record)

    async def finish(self, record: RolloutRecord) -> RolloutRecord:
        """Do what is written down; the record then. Doing it again changes nothing."""
        step = record.intent
        if step is None:
            return record
        may_repeat, self._may_repeat = self._may_repeat, True
        if step.state is RolloutState.CANARY:
            record = await self._show(record, step)
        elif step.state is RolloutState.PROMOTED:
            record = await self._promote(record, step)
        else:  # also when it is not known to have begun: a crash may have come in between
            await self._live.end_canary(record.id)
        await asyncio.to_thread(self._audit, record, may_repeat)
        record = record.arrived()
        await self.keep(record.closed() if record.is_over else record)
        if record.is_over:
            _LOG.info("%s is %s", record.id, record.state.value)
            self.current = None
        self._may_repeat = False
        return record

    async def keep(self, record: RolloutRecord) -> None:
        """Keep the record as it is now."""
        await asyncio.to_thread(self._folder.save, record)
        self.current = record

    async def _show(self, record: RolloutRecord, step: Transition) -> RolloutRecord:
        """Let the candidate decide its share."""
        share = step.share or 0.0
        if record.state is RolloutState.CANARY:
            is_there = await self._live.resize_canary(record.id, share)
            return record if is_there else self._ending(record, EXCHANGED)
        if self._services.live.record.current.dna_hash != record.incumbent.dna_hash:
            return self._ending(record, EXCHANGED)
        try:
            commit = await asyncio.to_thread(self._services.history.resolve, record.candidate.commit)
            await self._live.begin_canary(record.id, commit, share)
        except (UsageError, DataError, RefNotFoundError) as exc:  # trying again would not help
            return self._ending(record, str(exc))
        return record

    async def _promote(self, record: RolloutRecord, step: Transition) -> RolloutRecord:
        if self._services.live.record.current.dna_hash == record.candidate.dna_hash:
            return record  # done before a crash
        is_there = await self._live.promote_canary(record.id, actor=step.actor, reason=f"{record.id}: {step.reason}")
        return record if is_there else self._ending(record, EXCHANGED)

    def _ending(self, record: RolloutRecord, reason: str) -> RolloutRecord:
        """The record with the end as its intent instead."""
        return replace(record, intent=None).intending(self._step(RolloutState.STOPPED, reason))

    def _step(
        self,
        state: RolloutState,
        reason: str,
        evidence: Mapping[str, Any] | None = None,
        *,
        share: float | None = None,
        actor: str = SYSTEM,
    ) -> Transition:
        return Transition(self._services.clock.now().isoformat(), state, share, reason, evidence or {}, actor)

    def _audit(self, record: RolloutRecord, may_repeat: bool) -> None:
        """Tell the audit log of the step, once."""
        step, number = record.intent, len(record.transitions)
        if step is None or (may_repeat and self._is_told(record.id, number)):
            return
        detail = {
            "step": number,
            "state": step.state.value,
            "share": step.share,
            "reason": step.reason,
            "evidence": dict(step.evidence),
        }
        self._services.audit.append(AuditKind.ROLLOUT_MOVED, actor=step.actor, subject=record.id, detail=detail)

    def _is_told(self, rollout: str, number: int) -> bool:
        entries = self._services.audit.entries(kind=AuditKind.ROLLOUT_MOVED)
        return any(entry.subject == rollout and entry.detail["step"] == number for entry in entries)
