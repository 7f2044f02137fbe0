"""What the API's routes ask for, each in the words of its route, answered by the control plane."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from evolving_ai._common.clock import Clock
from evolving_ai.domain.identity import Principal
from evolving_ai.optimizer.budgets import BudgetBook
from evolving_ai.security.api_keys import KeyService
from evolving_ai.serving.control.live import LiveExchange, live_view
from evolving_ai.serving.control.replicas import Replicas, stats_json
from evolving_ai.serving.control.rollouts import Rollouts
from evolving_ai.stores.ports import AuditLog, OutcomeStore
from evolving_ai.wiring.campaign_jobs import CampaignJobs
from evolving_ai.wiring.control import ControlServices
from evolving_ai.wiring.live_record import LiveRecord
from evolving_ai.wiring.pool import load_pool

__all__ = ["ControlDesk", "ControlParts", "EvolutionDesk"]


class ControlParts(Protocol):
    """What the desks need of the control plane."""

    services: ControlServices
    live: LiveExchange
    replicas: Replicas
    campaigns: CampaignJobs
    rollouts: Rollouts

    async def keys_changed(self) -> None: ...

    async def budgets_changed(self) -> None: ...

    async def exchange_aliases(self, aliases: Mapping[str, Sequence[str]], *, actor: str) -> None: ...


class ControlDesk:
    """Implements the `...Services` protocols of `serving.api`, but evolution's, which is beside it."""

    def __init__(self, plane: ControlParts) -> None:
        self._plane = plane
        self.evolution = EvolutionDesk(plane)

    @property
    def clock(self) -> Clock:
        return self._plane.services.clock

    @property
    def outcomes(self) -> OutcomeStore:
        return self._plane.services.outcomes

    @property
    def keys(self) -> KeyService:
        return self._plane.services.keys

    @property
    def audit(self) -> AuditLog:
        return self._plane.services.audit

    @property
    def budgets(self) -> BudgetBook:
        return self._plane.services.budgets

    async def on_keys_changed(self) -> None:
        """Every replica is to know at once."""
        await self._plane.keys_changed()

    async def on_budgets_changed(self) -> None:
        """Every replica is to know at once."""
        await self._plane.budgets_changed()

    def live_record(self) -> LiveRecord:
        """What is live."""
        return self._plane.services.live.record

    async def promote(self, ref: str, *, actor: str, reason: str) -> LiveRecord:
        """Make the DNA that `ref` names live."""
        record = await self._plane.live.promote(ref, actor=actor, reason=reason)
        await self._plane.rollouts.notice_exchange(actor=actor)
        return record

    async def roll_back(self, *, actor: str, reason: str) -> LiveRecord:
        """Make the DNA that was live before live again."""
        record = await self._plane.live.roll_back(actor=actor, reason=reason)
        await self._plane.rollouts.notice_exchange(actor=actor)
        return record

    @property
    def rollouts(self) -> Rollouts:
        return self._plane.rollouts

    async def metrics(self) -> Mapping[str, Any]:
        """Counts of replicas and stores."""
        counts = self.outcomes.counts()
        return {
            "totals": self._plane.replicas.totals(),
            "replicas": [stats_json(replica) for replica in self._plane.replicas.present],
            "outcomes": {
                "recent": counts.recent,
                "archived": counts.archived,
                "with_feedback": counts.with_feedback,
            },
            "generation": self.live_record().current.generation,
        }

    def config(self) -> Mapping[str, Any]:
        """The configuration in force."""
        pool = load_pool(self._plane.services.home)
        return {
            "version": pool.version,
            "aliases": {alias: list(members) for alias, members in pool.aliases.items()},
            "targets": [target.name for target in pool.targets],
        }

    async def configure(self, aliases: Mapping[str, list[str]] | None, *, actor: str) -> Mapping[str, Any]:
        """Exchange the aliases; SettingsError when one names nothing."""
        if aliases is not None:
            await self._plane.exchange_aliases(aliases, actor=actor)
        return self.config()


class EvolutionDesk:
    """What the routes of evolution need."""

    def __init__(self, plane: ControlParts) -> None:
        self._plane = plane

    @property
    def campaigns(self) -> CampaignJobs:
        return self._plane.campaigns

    def live_commit(self) -> str:
        """The commit that is live."""
        return self._plane.services.live.record.current.commit

    def training_table(self) -> Path | None:
        """The outcomes that campaigns search on, where the request names none."""
        return load_pool(self._plane.services.home).table

    def candidate_commit(self) -> str | None:
        """The commit that a rollout is about to make live; None when none is."""
        active = self._plane.rollouts.active
        return None if active is None else active.candidate.commit

    async def stop_rollout(self, principal: Principal, reason: str) -> dict[str, Any]:
        """End the rollout that is under way; what is live."""
        active = self._plane.rollouts.active
        if active is not None:
            await self._plane.rollouts.stop(active.id, actor=principal.key_id, reason=reason)
        return live_view(self._plane.services.live.record)

    async def roll_back(self, principal: Principal, reason: str) -> dict[str, Any]:
        """Make the DNA that was live before live again."""
        record = await self._plane.live.roll_back(actor=principal.key_id, reason=reason)
        await self._plane.rollouts.notice_exchange(actor=principal.key_id)
        return live_view(record)
