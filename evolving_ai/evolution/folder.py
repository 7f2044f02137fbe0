"""A campaign's folder: where its ledger, its report and a request to stop it lie."""

import re
from pathlib import Path

from evolving_ai._common.files import disk_errors
from evolving_ai.errors import RefNotFoundError, UsageError
from evolving_ai.evolution.campaign import CAMPAIGN_ID

__all__ = ["RESERVED", "CampaignFolder", "campaign_folders"]

RESERVED = "requested"
"""No campaign is called that: below it lie the files of campaigns that were asked for over the API."""


class CampaignFolder:
    """`<home>/campaigns/<id>/` with `ledger.db`, `report/` and, while a stop is asked for, `stop`."""

    def __init__(self, campaigns: Path, campaign_id: str) -> None:
        if not _is_id(campaign_id):
            raise UsageError(f"{campaign_id!r} is no campaign id: `evolving-ai campaign list` shows those there are")
        self.id = campaign_id
        self.path = campaigns / campaign_id

    @property
    def ledger_path(self) -> Path:
        return self.path / "ledger.db"

    @property
    def report_path(self) -> Path:
        return self.path / "report"

    def claim(self) -> bool:
        """Make the folder; False when it is there already. Of several processes that try, one succeeds."""
        with disk_errors(self.path):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                self.path.mkdir(mode=0o700)
            except FileExistsError:
                return False
        return True

    @property
    def _stop_path(self) -> Path:
        return self.path / "stop"

    def require(self) -> None:
        """RefNotFoundError unless the campaign has a ledger."""
        if not self.ledger_path.is_file():
            raise RefNotFoundError(f"no campaign {self.id}: {self.ledger_path} does not exist")

    def request_stop(self) -> None:
        """Ask whoever runs the campaign to stop it; the request stands until `clear_stop`."""
        self.require()
        with disk_errors(self._stop_path):
            self._stop_path.touch()

    def clear_stop(self) -> None:
        """Withdraw a request: a runner does it when it starts, after it holds the ledger."""
        with disk_errors(self._stop_path):
            self._stop_path.unlink(missing_ok=True)

    def is_stop_requested(self) -> bool:
        """Whether the runner should stop; cheap enough to ask all the time."""
        return self._stop_path.exists()


def campaign_folders(campaigns: Path) -> tuple[CampaignFolder, ...]:
    """The folders under `campaigns` that may be campaigns, by name; none when the directory does not exist."""
    if not campaigns.is_dir():
        return ()
    names = sorted(entry.name for entry in campaigns.iterdir() if entry.is_dir())
    return tuple(CampaignFolder(campaigns, name) for name in names if _is_id(name))


def _is_id(name: str) -> bool:
    return re.fullmatch(CAMPAIGN_ID, name) is not None and name != RESERVED
