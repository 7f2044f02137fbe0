"""Where an installation's campaigns lie, and how their ledgers are opened."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from evolving_ai.evolution.campaign import CampaignSpec
from evolving_ai.evolution.folder import CampaignFolder
from evolving_ai.stores.ports import CampaignLedger
from evolving_ai.stores.sqlite.campaign_ledger import SqliteCampaignLedger, writer_of

__all__ = ["campaigns_path", "create_ledger", "open_ledger", "runner_of"]


def campaigns_path(home: Path) -> Path:
    """The directory that holds a folder for each campaign."""
    return home / "campaigns"


@contextlib.contextmanager
def create_ledger(folder: CampaignFolder, spec: CampaignSpec) -> Iterator[CampaignLedger]:
    """The ledger of a new campaign, held for writing; an earlier request to stop is withdrawn."""
    is_new = not folder.path.exists()
    try:
        ledger = SqliteCampaignLedger.create(folder.ledger_path, spec.to_json())
    except BaseException:
        if is_new:  # a campaign that could not begin leaves nothing behind
            shutil.rmtree(folder.path, ignore_errors=True)
        raise
    with contextlib.closing(ledger):
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


def runner_of(folder: CampaignFolder) -> str | None:
    """Who runs a campaign now ("process 123"); None when nobody does."""
    return writer_of(folder.ledger_path)
