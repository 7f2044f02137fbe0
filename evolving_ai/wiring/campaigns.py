"""Where an installation's campaigns lie, and how their ledgers are opened."""

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from evolving_ai.evolution.campaign import CampaignSpec
from evolving_ai.evolution.folder import CampaignFolder
from evolving_ai.evolution.state import CampaignState
from evolving_ai.stores.ports import CampaignLedger
from evolving_ai.stores.sqlite.campaign_ledger import SqliteCampaignLedger, writer_of

__all__ = ["INTERRUPTED", "Standing", "campaigns_path", "create_ledger", "open_ledger", "runner_of", "standing"]

INTERRUPTED = "interrupted"
"""How a campaign is called whose process has died before its end. It is recorded nowhere: the dead don't write."""

_BEGUN = (CampaignState.CREATED, CampaignState.RUNNING)


class Standing(NamedTuple):
    """Where a campaign stands: its state, the one that its ledger records, what belongs to that, and the header.

    `is_run`: a process holds the ledger, also to commit the winner after the search has ended.
    """

    state: str
    recorded: str
    detail: Mapping[str, Any]
    header: Mapping[str, Any]
    is_run: bool


def campaigns_path(home: Path) -> Path:
    """The directory that holds a folder for each campaign."""
    return home / "campaigns"


@contextlib.contextmanager
def create_ledger(folder: CampaignFolder, spec: CampaignSpec) -> Iterator[CampaignLedger]:
    """The ledger of a new campaign, held for writing; an earlier request to stop is withdrawn."""
    is_new = folder.claim()
    try:
        ledger = SqliteCampaignLedger.create(folder.ledger_path, spec.to_json())
    except BaseException:
        if is_new:  # a campaign that could not begin leaves nothing behind
            shutil.rmtree(folder.path, ignore_errors=True)
        raise
    with contextlib.closing(ledger):
        if not is_new:  # a new campaign may be asked to stop as soon as it can be seen
            folder.clear_stop()
        yield ledger


@contextlib.contextmanager
def open_ledger(folder: CampaignFolder, *, writer: bool = False) -> Iterator[CampaignLedger]:
    """The ledger of a campaign, to look at; `writer`: held, to resume it (an earlier request to stop is withdrawn)."""
    ledger = SqliteCampaignLedger.open(folder.ledger_path, writer=writer)
    with contextlib.closing(ledger):
        if writer:
            folder.clear_stop()
        yield ledger


def standing(folder: CampaignFolder) -> Standing:
    """Where a campaign stands; what is recorded as begun while nobody runs it is `interrupted`."""
    with open_ledger(folder) as ledger:
        header = ledger.header()
        state, detail = ledger.state()
        is_run = runner_of(folder) is not None
        if state in _BEGUN and not is_run:
            state, detail = ledger.state()  # it may have ended between the two looks
    is_cut_off = state in _BEGUN and not is_run
    return Standing(INTERRUPTED if is_cut_off else state, state, detail, header, is_run)


def runner_of(folder: CampaignFolder) -> str | None:
    """Who runs a campaign now ("process 123"); None when nobody does."""
    return writer_of(folder.ledger_path)
