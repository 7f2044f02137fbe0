"""Which commit a campaign won with, and which campaigns a commit came from. Reads the store of DNA, never writes."""

import contextlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from evolving_ai.domain.dna import Commit
from evolving_ai.domain.lineage import first_parents
from evolving_ai.stores.ports import DnaStore
from evolving_ai.stores.sqlite.dna_store import SqliteDnaStore
from evolving_ai.wiring.routing_campaign import branch_of
from evolving_ai.wiring.stores import dna_path

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CampaignWinners", "open_winners"]


class CampaignWinners:
    """The commits of campaigns in one store of DNA (None: there is none yet). Branches are read once."""

    def __init__(self, store: DnaStore | None) -> None:
        self._store = store

    @cached_property
    def _refs(self) -> "Mapping[str, str]":
        return MappingProxyType({}) if self._store is None else self._store.refs()

    def tip(self, campaign_id: str) -> Commit | None:
        """Where the campaign's branch points: its winner, or the commit that it started from; None without one."""
        target = self._refs.get(branch_of(campaign_id))
        return None if target is None or self._store is None else self._store.get(target)

    def improvement(self, campaign_id: str) -> Commit | None:
        """The winner, where it is other DNA than what the campaign started from; later commits by hand don't count."""
        tip = self.tip(campaign_id)
        if tip is None or self._store is None:
            return None
        made = (commit for commit in first_parents(tip, self._store.get) if _campaign_of(commit) is not None)
        last = next(made, None)
        return last if last is not None and _campaign_of(last) == campaign_id else None

    def origins(self, commit_hash: str) -> frozenset[str]:
        """The campaigns whose winners a commit is, or was made from without another campaign in between.

        A campaign whose every change was undone since does not count. RefNotFoundError when there is no such commit.
        """
        if self._store is None:
            return frozenset()
        end = self._store.get(commit_hash)
        found, seen, todo = set[str](), {commit_hash}, [commit_hash]
        while todo:
            commit = self._store.get(todo.pop())
            campaign = _campaign_of(commit)
            if campaign is None:
                todo.extend(parent for parent in commit.parents if parent not in seen)
                seen.update(commit.parents)
            elif _is_alive_in(end, commit):
                found.add(campaign)
        return frozenset(found)


def _campaign_of(commit: Commit) -> str | None:
    """The campaign that made a commit: its evaluations are named `ID/CANDIDATE`."""
    if commit.mutation is None or commit.mutation.type != "campaign":
        return None
    return next((name.rpartition("/")[0] for name in commit.evaluations), None)


def _is_alive_in(end: Commit, won: Commit) -> bool:
    changes = () if won.mutation is None else won.mutation.changes
    return any(end.genome.genes.get(change.gene) == change.after for change in changes)


@contextlib.contextmanager
def open_winners(home: Path) -> Iterator[CampaignWinners]:
    """The winners of the campaigns of `home`, as they stand."""
    path = dna_path(home)
    if not path.is_file():
        yield CampaignWinners(None)
        return
    with SqliteDnaStore.open_to_read(path) as store:
        yield CampaignWinners(store)
