"""The rollouts of an installation, one at a time: started, gated, watched, grown, and ended by what the evidence says.

The rule kept here: outcomes enter the tests once, also when control is killed, by a cursor that is kept together with
what they led to. Nothing is tested here (see `evolving_ai.rollout`), and nothing exchanged (see `RolloutSteps`).
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from evolving_ai._common.ids import new_id
from evolving_ai.domain.rollout import RolloutState
from evolving_ai.errors import DataError, EvolvingAIError, RequestError, UsageError
from evolving_ai.rollout.controller import RolloutController
from evolving_ai.rollout.evidence import Ruling, Verdict
from evolving_ai.rollout.observation import observation_of
from evolving_ai.rollout.plan import RolloutPlan
from evolving_ai.serving.control.gatekeeper import Gatekeeper
from evolving_ai.serving.control.live import LiveExchange
from evolving_ai.serving.control.rollout_steps import EXCHANGED, SYSTEM, RolloutSteps
from evolving_ai.stores.ports import OutcomeCursor
from evolving_ai.wiring.control import ControlServices
from evolving_ai.wiring.rollout_records import RolloutFolder, RolloutRecord, Transition, VersionName

__all__ = ["Rollouts"]

_LOG = logging.getLogger(__name__)
_LOOK_EVERY_S = 1.0
_KEEP_EVERY_S = 2.0
_OUTCOMES_AT_ONCE = 2000
_BLIND_S = 120.0


class Rollouts:
    """`resume` before, `run` as a task, `stop_gating` after. `heard` says that there may be new outcomes."""

    def __init__(self, services: ControlServices, live: LiveExchange, gatekeeper: Gatekeeper) -> None:
        self._services = services
        self._live = live
        self._gatekeeper = gatekeeper
        self._folder = RolloutFolder(services.home)
        self._steps = RolloutSteps(services, live, self._folder)
        self._clock = services.clock
        self._turn = asyncio.Lock()
        self._news = asyncio.Event()
        self._controller: RolloutController | None = None
        self._gating: asyncio.Task[None] | None = None
        self._kept_s = 0.0
        self._blind_since_s: float | None = None

    # --- What the API asks for ----------------------------------------------------------------------------------------

    async def start(self, ref: str, plan: RolloutPlan, *, actor: str, reason: str) -> RolloutRecord:
        """Begin a rollout; its gates are asked in the background. RequestError `conflict` while another is under way.

        RefNotFoundError when there is no such DNA, UsageError when it is live already.
        """
        async with self._turn:
            self._refuse_second()
            commit = await asyncio.to_thread(self._services.history.resolve, ref)
            live = self._services.live.record.current
            if commit.genome.hash == live.dna_hash:
                raise UsageError(f"DNA {commit.genome.hash[:12]} is live already")
            now = self._now()
            record = RolloutRecord(
                id=new_id("rollout"),
                actor=actor,
                candidate=VersionName(commit.hash, commit.genome.hash),
                incumbent=VersionName(live.commit, live.dna_hash),
                plan=plan,
                started=now,
                transitions=(Transition(now, RolloutState.GATING, None, reason or "started", {}, actor),),
            )
            await self._steps.begin(record)
            self._gating = asyncio.create_task(self._ask_gates(record))
            return record

    def _refuse_second(self) -> None:
        current = self._steps.current
        if current is not None:
            raise RequestError(
                "conflict",
                f"{current.id} is under way, and one rollout runs at a time",
                hint="wait until it is over, or end it: `evolving-ai rollout stop`",
            )

    async def approve(self, rollout_id: str, *, actor: str) -> RolloutRecord:
        """Let a rollout go on that waits for it; RequestError `conflict` when it does not."""
        async with self._turn:
            record = self._under_way(rollout_id)
            if record.state is not RolloutState.AWAITING_APPROVAL:
                raise RequestError("conflict", f"{rollout_id} is {record.state.value}: nothing is to be approved")
            return await self._enter_canary(record, "approved", actor=actor)

    async def stop(self, rollout_id: str, *, actor: str, reason: str) -> RolloutRecord:
        """End a rollout; the live DNA decides everything again. RequestError `conflict` when it is over."""
        async with self._turn:
            record = self._under_way(rollout_id)
            if record.intent is not None and self._is_live(record):
                return await self._steps.finish(record)
            return await self._stop(record, reason or "stopped by hand", actor)

    async def notice_exchange(self, *, actor: str) -> None:
        """The live DNA was exchanged otherwise: what was being compared with it is no question any more."""
        async with self._turn:
            record = self._steps.current
            if record is None or self._services.live.record.current.dna_hash == record.incumbent.dna_hash:
                return
            await self._stop(record, EXCHANGED, actor)

    async def _stop(self, record: RolloutRecord, reason: str, actor: str = SYSTEM) -> RolloutRecord:
        """End it, whatever else was about to be done."""
        await self.stop_gating()
        record = replace(self._with_statistics(record), intent=None)
        return await self._steps.take(record, RolloutState.STOPPED, reason, _evidence(record), actor=actor)

    def _is_live(self, record: RolloutRecord) -> bool:
        return self._services.live.record.current.dna_hash == record.candidate.dna_hash

    @property
    def active(self) -> RolloutRecord | None:
        """The rollout that is under way, with what its tests say now."""
        record = self._steps.current
        return None if record is None else self._with_figures(record)

    def find(self, rollout_id: str) -> RolloutRecord:
        """RefNotFoundError when there is none."""
        current = self._steps.current
        if current is not None and current.id == rollout_id:
            return self._with_figures(current)
        return self._folder.load(rollout_id)

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
        canary = self._services.live.record.canary
        shown = None if canary is None else canary.rollout
        unfinished.sort(key=lambda record: record.id != shown)  # the one whose candidate is shown goes on
        self._steps.current = unfinished[0] if unfinished else None
        for other in unfinished[1:]:
            over = replace(other, intent=None).intending(self._step_of_second()).arrived()
            await asyncio.to_thread(self._folder.save, over.closed())
        self._news.set()  # what has to be done is done at once
        record = self._steps.current
        if record is None:
            return
        _LOG.info("%s goes on: it is %s", record.id, record.state.value)
        if record.statistics is not None:
            try:
                self._controller = RolloutController.from_json(record.plan, record.statistics)
            except DataError as exc:
                _LOG.warning("%s: %s", record.id, exc)
                self._steps.current = replace(record, statistics=None)

    async def run(self) -> None:
        """Take in outcomes and act on them, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await self._news.wait()
            self._news.clear()
            try:
                await self.look()
                self._blind_since_s = None
            except EvolvingAIError as exc:
                _LOG.warning("the rollout cannot go on at the moment: %s", exc)
                await self._end_blind()

    async def _end_blind(self) -> None:
        """A candidate whose evidence cannot be taken in does not go on for long."""
        now_s = self._clock.monotonic_s()
        self._blind_since_s = now_s if self._blind_since_s is None else self._blind_since_s
        record = self._steps.current
        if record is None or now_s - self._blind_since_s < _BLIND_S or record.state is not RolloutState.CANARY:
            return
        with contextlib.suppress(EvolvingAIError):  # then again a second later
            async with self._turn:
                reason = f"nothing could be learned of it for {_BLIND_S:g} s: see the log of control"
                record = replace(self._with_statistics(record), intent=None)
                await self._steps.take(record, RolloutState.ROLLED_BACK, reason, _evidence(record))

    def heard(self) -> None:
        """There may be new outcomes."""
        if self._steps.current is not None:
            self._news.set()

    async def stop_gating(self) -> None:
        """Let go of the gates' process; they are asked again when the platform is started again."""
        if self._gating is not None:
            self._gating.cancel()
            await asyncio.gather(self._gating, return_exceptions=True)

    async def look(self) -> None:
        """Finish what was begun, or take in the outcomes that came."""
        async with self._turn:
            record, canary = self._steps.current, self._services.live.record.canary
            if canary is not None and (record is None or record.id != canary.rollout):
                await self._live.end_canary(canary.rollout)  # that no rollout knows
            if record is None:
                return
            if record.intent is not None:
                await self._steps.finish(record)
            elif record.state is RolloutState.GATING and (self._gating is None or self._gating.done()):
                self._gating = asyncio.create_task(self._ask_gates(record))
            elif record.state is RolloutState.CANARY and canary is None:
                is_same = self._services.live.record.current.dna_hash == record.incumbent.dna_hash
                await self._stop(record, "the pool of models has changed" if is_same else EXCHANGED)
            elif record.state is RolloutState.CANARY:
                await self._take_in(record)

    # --- Gates --------------------------------------------------------------------------------------------------------

    async def _ask_gates(self, record: RolloutRecord) -> None:
        try:
            gates = await self._gatekeeper.ask(
                self._services.home, record.candidate.commit, record.incumbent.commit, record.plan
            )
        except EvolvingAIError as exc:
            gates = [{"name": "gates", "passed": False, "detail": str(exc), "figures": {}}]
        async with self._turn:
            current = self._steps.current
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
            await self._steps.take(record, RolloutState.REFUSED, reason, evidence)
        elif record.plan.needs_approval:
            await self._steps.take(record, RolloutState.AWAITING_APPROVAL, "every gate passed", evidence)
        else:
            await self._enter_canary(record, "every gate passed", evidence)

    async def _enter_canary(
        self, record: RolloutRecord, reason: str, evidence: Mapping[str, Any] | None = None, *, actor: str = SYSTEM
    ) -> RolloutRecord:
        self._controller = RolloutController(record.plan)
        counts = await asyncio.to_thread(self._services.outcomes.counts)
        record = replace(record, cursor=counts.end, **self._statistics())
        share = self._controller.share
        return await self._steps.take(record, RolloutState.CANARY, reason, evidence, share=share, actor=actor)

    # --- Evidence -----------------------------------------------------------------------------------------------------

    async def _take_in(self, record: RolloutRecord) -> None:
        controller, cursor = self._controller, record.cursor
        if controller is None or cursor is None:
            raise DataError(f"{record.id} has no statistics: stop it, and start another")
        ruling, reached, count = await asyncio.to_thread(self._observe, record, controller, cursor)
        if reached == cursor:
            return
        if count >= _OUTCOMES_AT_ONCE:
            self._news.set()
        record = self._steps.current = replace(record, cursor=reached)
        if ruling.verdict is not Verdict.GO_ON:
            await self._obey(ruling, self._with_statistics(record))
        elif self._clock.monotonic_s() - self._kept_s > _KEEP_EVERY_S:
            self._kept_s = self._clock.monotonic_s()
            await self._steps.keep(self._with_statistics(record))

    def _observe(
        self, record: RolloutRecord, controller: RolloutController, cursor: OutcomeCursor
    ) -> tuple[Ruling, OutcomeCursor, int]:
        """Feed the controller; the ruling that counts, how far it came, and how many signals that were."""
        signals, reached = self._services.outcomes.scored(cursor, _OUTCOMES_AT_ONCE, with_unscored=True)
        found = Ruling(Verdict.GO_ON)
        for signal in signals:
            observation = observation_of(signal, record.id, record.candidate.dna_hash)
            if observation is None:
                continue
            ruling = controller.observe(observation)
            if ruling.verdict is not Verdict.GO_ON:
                found = ruling
            if ruling.verdict in (Verdict.PROMOTE, Verdict.ROLL_BACK):
                break
        return found, reached, len(signals)

    async def _obey(self, ruling: Ruling, record: RolloutRecord) -> None:
        ruled_at, ruled_s = self._now(), self._clock.monotonic_s()
        evidence = _evidence(record)
        if ruling.verdict is Verdict.GROW and record.stage is not None:
            share = record.plan.stages[record.stage].share
            await self._steps.take(record, RolloutState.CANARY, ruling.reason, evidence, share=share)
        elif ruling.verdict is Verdict.PROMOTE:
            await self._steps.take(record, RolloutState.PROMOTED, ruling.reason, evidence)
        else:
            over = await self._steps.take(record, RolloutState.ROLLED_BACK, ruling.reason, evidence)
            seconds = self._clock.monotonic_s() - ruled_s
            if self._live.has_reached_all and any(rail["is_breached"] for rail in over.rails):
                exchange = {"breach_at": ruled_at, "told_at": self._now(), "seconds": seconds}
                await asyncio.to_thread(self._folder.save, replace(over.closed(), exchange=exchange))

    def _statistics(self) -> dict[str, Any]:
        """Everything, to go on from."""
        return {} if self._controller is None else {**self._figures(), "statistics": self._controller.to_json()}

    def _figures(self) -> dict[str, Any]:
        """What there is to show."""
        controller = self._controller
        if controller is None:
            return {}
        canary, control = controller.counts
        return {
            "statistics": {"history": [point.to_json() for point in controller.history]},
            "rails": tuple(rail.to_json() for rail in controller.evidence()),
            "requests": {"canary": canary, "control": control},
            "stage": controller.stage,
        }

    def _with_statistics(self, record: RolloutRecord) -> RolloutRecord:
        return replace(record, **self._statistics()) if record.state is RolloutState.CANARY else record

    def _with_figures(self, record: RolloutRecord) -> RolloutRecord:
        return replace(record, **self._figures()) if record.state is RolloutState.CANARY else record

    # --- Around -------------------------------------------------------------------------------------------------------

    def _under_way(self, rollout_id: str) -> RolloutRecord:
        current = self._steps.current
        if current is None or current.id != rollout_id:
            record = self._folder.load(rollout_id)
            raise RequestError("conflict", f"{rollout_id} is over: it is {record.state.value}")
        return current

    def _step_of_second(self) -> Transition:
        return Transition(self._now(), RolloutState.STOPPED, None, "another rollout is under way", {}, SYSTEM)

    def _now(self) -> str:
        return self._clock.now().isoformat()


def _evidence(record: RolloutRecord) -> Mapping[str, Any]:
    """What is known of a rollout when it takes a step."""
    return {"rails": list(record.rails), "requests": dict(record.requests or {})}
