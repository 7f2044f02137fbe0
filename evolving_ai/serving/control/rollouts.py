"""The rollouts of an installation, one at a time: started, gated, watched, grown, and ended by what the evidence says.

The rule kept here: a step is written down before it is done, and done again by whoever finds it there, so a control
that is killed at any moment goes on where it was; outcomes enter the tests once, by a cursor that is kept together
with what they led to. Every step stands in the audit log with its evidence. Nothing is tested here (see
`evolving_ai.rollout`), and nothing exchanged (see `LiveExchange`).
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from evolving_ai._common.ids import new_id
from evolving_ai.domain.rollout import RolloutState
from evolving_ai.errors import DataError, EvolvingAIError, RefNotFoundError, RequestError, StorageError, UsageError
from evolving_ai.rollout.controller import RolloutController
from evolving_ai.rollout.evidence import Ruling, Verdict
from evolving_ai.rollout.observation import observation_of
from evolving_ai.rollout.plan import RolloutPlan
from evolving_ai.security.audit_kinds import AuditKind
from evolving_ai.serving.control.gatekeeper import Gatekeeper
from evolving_ai.serving.control.live import LiveExchange
from evolving_ai.stores.ports import OutcomeCursor
from evolving_ai.wiring.control import ControlServices
from evolving_ai.wiring.rollout_records import RolloutFolder, RolloutRecord, Transition, VersionName

__all__ = ["Rollouts"]

_LOG = logging.getLogger(__name__)
_LOOK_EVERY_S = 1.0
_KEEP_EVERY_S = 2.0
_OUTCOMES_AT_ONCE = 2000
_ACTOR = "evolving-ai"
_UNTESTED = (RolloutState.GATING, RolloutState.AWAITING_APPROVAL)


class Rollouts:
    """`resume` before, `run` as a task, `stop_gating` after. `heard` says that there may be new outcomes."""

    def __init__(self, services: ControlServices, live: LiveExchange, gatekeeper: Gatekeeper) -> None:
        self._services = services
        self._live = live
        self._gatekeeper = gatekeeper
        self._folder = RolloutFolder(services.home)
        self._clock = services.clock
        self._turn = asyncio.Lock()
        self._news = asyncio.Event()
        self._active: RolloutRecord | None = None
        self._controller: RolloutController | None = None
        self._gating: asyncio.Task[None] | None = None
        self._kept_s = 0.0

    # --- What the API asks for ----------------------------------------------------------------------------------------

    async def start(self, ref: str, plan: RolloutPlan, *, actor: str, reason: str) -> RolloutRecord:
        """Begin a rollout; its gates are asked in the background. RequestError `conflict` while another is under way.

        RefNotFoundError when there is no such DNA, UsageError when it is live already.
        """
        async with self._turn:
            if self._active is not None:
                raise RequestError(
                    "conflict",
                    f"{self._active.id} is under way, and one rollout runs at a time",
                    hint="wait until it is over, or end it: `evolving-ai rollout stop`",
                )
            commit = await asyncio.to_thread(self._services.history.resolve, ref)
            live = self._services.live.record.current
            if commit.genome.hash == live.dna_hash:
                raise UsageError(f"DNA {commit.genome.hash[:12]} is live already")
            record = RolloutRecord(
                id=new_id("rollout"),
                actor=actor,
                candidate=VersionName(commit.hash, commit.genome.hash),
                incumbent=VersionName(live.commit, live.dna_hash),
                plan=plan,
                started=self._now(),
                transitions=(Transition(self._now(), RolloutState.GATING, None, reason or "started", {}, actor),),
            )
            await asyncio.to_thread(self._begin, record)
            self._active = record
            self._gating = asyncio.create_task(self._ask_gates(record))
            return record

    async def approve(self, rollout_id: str, *, actor: str) -> RolloutRecord:
        """Let a rollout go on that waits for it; RequestError `conflict` when it does not."""
        async with self._turn:
            record = self._the_active(rollout_id)
            if record.state is not RolloutState.AWAITING_APPROVAL:
                raise RequestError("conflict", f"{rollout_id} is {record.state.value}: nothing is to be approved")
            await self._enter_canary(record, actor, "approved")
            return self._known(rollout_id)

    async def stop(self, rollout_id: str, *, actor: str, reason: str) -> RolloutRecord:
        """End a rollout; the live DNA decides everything again. RequestError `conflict` when it is over."""
        async with self._turn:
            record = self._the_active(rollout_id)
            if record.intent is not None:
                await self._carry_out(record)
                record = self._the_active(rollout_id)
            await self._move(record, self._step(RolloutState.STOPPED, reason or "stopped by hand", actor=actor))
            return self._known(rollout_id)

    async def notice_exchange(self, *, actor: str) -> None:
        """The live DNA was exchanged otherwise: what was being compared with it is no question any more."""
        async with self._turn:
            record = self._active
            if record is None or self._services.live.record.current.dna_hash == record.incumbent.dna_hash:
                return
            await self._move(
                record, self._step(RolloutState.STOPPED, "the live DNA was exchanged by hand", actor=actor)
            )

    @property
    def active(self) -> RolloutRecord | None:
        """The rollout that is under way, with what its tests say now."""
        record = self._active
        return None if record is None else self._with_statistics(record)

    def find(self, rollout_id: str) -> RolloutRecord:
        """RefNotFoundError when there is none."""
        active = self.active
        return active if active is not None and active.id == rollout_id else self._folder.load(rollout_id)

    def all(self) -> tuple[RolloutRecord, ...]:
        """Every rollout, the newest first."""
        active = self.active
        return tuple(
            active if active is not None and active.id == record.id else record for record in self._folder.all()
        )

    # --- In the background --------------------------------------------------------------------------------------------

    async def resume(self) -> None:
        """Go on with what a former control left under way; a candidate that no rollout knows decides nothing more."""
        unfinished = [record for record in await asyncio.to_thread(self._folder.all) if not record.is_over]
        self._active = unfinished[0] if unfinished else None
        canary = self._services.live.record.canary
        if canary is not None and (self._active is None or self._active.id != canary.rollout):
            await self._live.end_canary(canary.rollout)
        record = self._active
        if record is None:
            return
        _LOG.info("%s goes on: it is %s", record.id, record.state.value)
        if record.statistics is not None:
            self._controller = RolloutController.from_json(record.plan, record.statistics)
        if record.state is RolloutState.GATING and record.intent is None:
            self._gating = asyncio.create_task(self._ask_gates(record))

    async def run(self) -> None:
        """Take in outcomes and act on them, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await self._news.wait()
            self._news.clear()
            try:
                await self.look()
            except EvolvingAIError as exc:
                _LOG.warning("the rollout cannot go on at the moment: %s", exc)

    def heard(self) -> None:
        """There may be new outcomes."""
        if self._controller is not None:
            self._news.set()

    async def stop_gating(self) -> None:
        """Let go of the gates' process; they are asked again when the platform is started again."""
        if self._gating is not None:
            self._gating.cancel()
            await asyncio.gather(self._gating, return_exceptions=True)

    async def look(self) -> None:
        """Finish what was begun, or take in the outcomes that came."""
        async with self._turn:
            record = self._active
            if record is None:
                return
            if record.intent is not None:
                await self._carry_out(record)
            elif record.state is RolloutState.CANARY:
                await self._take_in(record)

    async def _ask_gates(self, record: RolloutRecord) -> None:
        try:
            gates = await self._gatekeeper.ask(
                self._services.home, record.candidate.commit, record.incumbent.commit, record.plan
            )
        except EvolvingAIError as exc:
            gates = [{"name": "gates", "passed": False, "detail": str(exc), "figures": {}}]
        async with self._turn:
            current = self._active
            if current is None or current.id != record.id or current.state is not RolloutState.GATING:
                return  # it was stopped meanwhile
            try:
                await self._pass_on(replace(current, gates=tuple(gates)))
            except EvolvingAIError as exc:
                _LOG.warning("%s waits: %s", record.id, exc)

    async def _pass_on(self, record: RolloutRecord) -> None:
        vetoes = [gate for gate in record.gates if not gate["passed"]]
        evidence = {"gates": list(record.gates)}
        if vetoes:
            reason = "; ".join(f"gate {gate['name']}: {gate['detail']}" for gate in vetoes)
            await self._move(record, self._step(RolloutState.REFUSED, reason, evidence))
        elif record.plan.needs_approval:
            await self._move(record, self._step(RolloutState.AWAITING_APPROVAL, "every gate passed", evidence))
        else:
            await self._enter_canary(record, _ACTOR, "every gate passed", evidence)

    async def _enter_canary(
        self, record: RolloutRecord, actor: str, reason: str, evidence: Mapping[str, Any] | None = None
    ) -> None:
        self._controller = RolloutController(record.plan)
        end = (await asyncio.to_thread(self._services.outcomes.counts)).end
        record = replace(record, cursor=end, **self._statistics())
        step = self._step(RolloutState.CANARY, reason, evidence or {}, share=self._controller.share, actor=actor)
        await self._move(record, step)

    async def _take_in(self, record: RolloutRecord) -> None:
        controller, cursor = self._controller, record.cursor
        if controller is None or cursor is None:
            raise UsageError(f"{record.id} has no statistics: stop it, and start another")
        ruling, reached, count = await asyncio.to_thread(self._observe, record, controller, cursor)
        if reached == cursor:
            return
        if count >= _OUTCOMES_AT_ONCE:
            self._news.set()
        seen = replace(record, cursor=reached)
        self._active = seen
        if ruling.verdict is not Verdict.GO_ON:
            await self._rule(seen, ruling)
        elif self._clock.monotonic_s() - self._kept_s > _KEEP_EVERY_S:
            await self._keep(self._with_statistics(seen))

    def _observe(
        self, record: RolloutRecord, controller: RolloutController, cursor: OutcomeCursor
    ) -> tuple[Ruling, OutcomeCursor, int]:
        """Feed the controller; the ruling that counts, how far it came, and how many signals that were."""
        signals, reached = self._services.outcomes.scored(cursor, _OUTCOMES_AT_ONCE, with_unscored=True)
        found = Ruling(Verdict.GO_ON)
        for signal in signals:
            observation = observation_of(signal, record.id)
            if observation is None:
                continue
            ruling = controller.observe(observation)
            if ruling.verdict is not Verdict.GO_ON:
                found = ruling
            if ruling.verdict in (Verdict.PROMOTE, Verdict.ROLL_BACK):
                break
        return found, reached, len(signals)

    async def _rule(self, record: RolloutRecord, ruling: Ruling) -> None:
        ruled_at, ruled_s = self._now(), self._clock.monotonic_s()
        record = self._with_statistics(record)
        evidence = {"rails": list(record.rails), "requests": dict(record.requests or {})}
        if ruling.verdict is Verdict.GROW and self._controller is not None:
            share = self._controller.share
            await self._move(record, self._step(RolloutState.CANARY, ruling.reason, evidence, share=share))
        elif ruling.verdict is Verdict.PROMOTE:
            await self._move(record, self._step(RolloutState.PROMOTED, ruling.reason, evidence))
        else:
            await self._move(record, self._step(RolloutState.ROLLED_BACK, ruling.reason, evidence))
            seconds = self._clock.monotonic_s() - ruled_s
            over = self._known(record.id)
            exchange = {"breach_at": ruled_at, "told_at": self._now(), "seconds": seconds}
            await asyncio.to_thread(self._folder.save, replace(over, exchange=exchange))

    # --- Steps --------------------------------------------------------------------------------------------------------

    async def _move(self, record: RolloutRecord, step: Transition) -> None:
        """Write down a step, and do it."""
        record = record.intending(step)
        self._active = record
        try:
            await asyncio.to_thread(self._folder.save, record)
        except StorageError:
            if step.state not in (RolloutState.ROLLED_BACK, RolloutState.STOPPED):
                raise
            _LOG.warning("%s cannot be written down, and is ended all the same", record.id)
        await self._carry_out(record)

    async def _carry_out(self, record: RolloutRecord) -> None:
        """Do what was written down. Doing it again changes nothing."""
        step = record.intent
        if step is None:
            return
        if step.state is RolloutState.CANARY:
            record = await self._show(record, step)
        elif step.state is RolloutState.PROMOTED:
            record = await self._promote(record, step)
        elif step.state is not RolloutState.REFUSED and record.state is RolloutState.CANARY:
            await self._live.end_canary(record.id)
        await asyncio.to_thread(self._audit, record)
        await self._keep(record.arrived())
        if self._active is not None and self._active.is_over:
            _LOG.info("%s is %s", record.id, self._active.state.value)
            self._active = self._controller = None

    async def _show(self, record: RolloutRecord, step: Transition) -> RolloutRecord:
        """Let the candidate decide its share."""
        share = step.share or 0.0
        if record.state is RolloutState.CANARY:
            is_there = await self._live.resize_canary(record.id, share)
            return record if is_there else self._lost(record)
        try:
            commit = await asyncio.to_thread(self._services.history.resolve, record.candidate.commit)
            live = await self._live.begin_canary(record.id, commit, share)
        except (UsageError, DataError, RefNotFoundError) as exc:  # trying again would not help
            return replace(record, intent=None).intending(self._step(RolloutState.STOPPED, str(exc)))
        return record if live.canary is None else replace(record, snapshot_hash=live.canary.snapshot_hash)

    async def _promote(self, record: RolloutRecord, step: Transition) -> RolloutRecord:
        if self._services.live.record.current.dna_hash == record.candidate.dna_hash:
            return record  # done before a crash
        is_there = await self._live.promote_canary(record.id, actor=step.actor, reason=f"{record.id}: {step.reason}")
        return record if is_there else self._lost(record)

    def _lost(self, record: RolloutRecord) -> RolloutRecord:
        """Somebody exchanged the live DNA in between: the candidate is not beside it any more."""
        reason = "the live DNA was exchanged by hand"
        return replace(record, intent=None).intending(self._step(RolloutState.STOPPED, reason))

    def _begin(self, record: RolloutRecord) -> None:
        self._folder.save(record)
        detail = {
            "candidate": record.candidate.dna_hash,
            "commit": record.candidate.commit,
            "incumbent": record.incumbent.dna_hash,
            "plan": record.plan.to_json(),
            "reason": record.transitions[0].reason,
        }
        self._services.audit.append(AuditKind.ROLLOUT_STARTED, actor=record.actor, subject=record.id, detail=detail)

    def _audit(self, record: RolloutRecord) -> None:
        """Tell the audit log of the step, once."""
        step, number = record.intent, len(record.transitions)
        if step is None:
            return
        for entry in self._services.audit.entries(kind=AuditKind.ROLLOUT_MOVED):
            if entry.subject == record.id and entry.detail["step"] == number:
                return
        detail = {
            "step": number,
            "state": step.state.value,
            "share": step.share,
            "reason": step.reason,
            "evidence": dict(step.evidence),
        }
        self._services.audit.append(AuditKind.ROLLOUT_MOVED, actor=step.actor, subject=record.id, detail=detail)

    async def _keep(self, record: RolloutRecord) -> None:
        await asyncio.to_thread(self._folder.save, record)
        self._active, self._kept_s = record, self._clock.monotonic_s()

    # --- Around -------------------------------------------------------------------------------------------------------

    def _step(
        self,
        state: RolloutState,
        reason: str,
        evidence: Mapping[str, Any] | None = None,
        *,
        share: float | None = None,
        actor: str = _ACTOR,
    ) -> Transition:
        return Transition(self._now(), state, share, reason, evidence or {}, actor)

    def _statistics(self) -> dict[str, Any]:
        controller = self._controller
        if controller is None:
            return {}
        canary, control = controller.counts
        return {
            "statistics": controller.to_json(),
            "rails": tuple(rail.to_json() for rail in controller.evidence()),
            "requests": {"canary": canary, "control": control},
            "stage": controller.stage,
        }

    def _with_statistics(self, record: RolloutRecord) -> RolloutRecord:
        return replace(record, **self._statistics()) if record.state is RolloutState.CANARY else record

    def _the_active(self, rollout_id: str) -> RolloutRecord:
        if self._active is None or self._active.id != rollout_id:
            record = self._folder.load(rollout_id)
            raise RequestError("conflict", f"{rollout_id} is over: it is {record.state.value}")
        return self._active

    def _known(self, rollout_id: str) -> RolloutRecord:
        active = self._active
        return active if active is not None and active.id == rollout_id else self._folder.load(rollout_id)

    def _now(self) -> str:
        return self._clock.now().isoformat()
