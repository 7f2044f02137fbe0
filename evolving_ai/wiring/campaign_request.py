"""Campaigns that are asked for over the API: from a few wishes to a whole campaign file that says what was run."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import evolving_ai
from evolving_ai._common.files import disk_errors, write_atomically
from evolving_ai.errors import DataError, UsageError
from evolving_ai.evolution.folder import RESERVED
from evolving_ai.wiring.campaign_file import RoutingCampaignFile, TargetScore, read_campaign_file
from evolving_ai.wiring.campaigns import campaigns_path

__all__ = ["CampaignRequest", "requested_campaign", "requested_path", "write_requested"]

_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class CampaignRequest:
    """What a campaign shall do. None: as the campaign file says, or as it would by default.

    `campaign` names a file: relative to the project's `experiments/campaigns`, or by its absolute path. Without it, a
    routing campaign starts from the commit `start_from` and searches on `table`, which a named file without `data:`
    searches on too. `target_fitness` is a `fitness_score`, 0 to 1; `max_iterations` bounds the evaluations.
    """

    start_from: str
    table: Path | None
    campaign: str | None = None
    target_fitness: float | None = None
    max_iterations: int | None = None
    seed: int | None = None


def requested_campaign(request: CampaignRequest, library: Path | None = None) -> RoutingCampaignFile:
    """The campaign that a request means; `library` holds the named files (default: `experiments/campaigns`).

    UsageError when the name means no file, DataError when there is nothing to search on, SettingsError when the
    named file is not as it should be.
    """
    if request.campaign is None:
        asked = RoutingCampaignFile(kind="routing", start_from=request.start_from)
    else:
        asked = read_campaign_file(_named(request.campaign, library or _library()))
    changes: dict[str, Any] = {"data": asked.data or request.table}
    if changes["data"] is None:
        raise DataError("there are no outcomes to search on: name a table as `data:` in config.yaml")
    if request.max_iterations is not None:
        changes["evals"] = request.max_iterations
    if request.seed is not None:
        changes["seed"] = request.seed
    if request.target_fitness is not None:
        changes["target"] = TargetScore(objective="fitness_score", value=request.target_fitness)
    return asked.model_copy(update=changes)


def _library() -> Path:
    return Path(evolving_ai.__file__).resolve().parents[1] / "experiments" / "campaigns"


def _named(name: str, library: Path) -> Path:
    path = _file(library / name)
    is_allowed = path is not None and (Path(name).is_absolute() or path.is_relative_to(os.path.realpath(library)))
    if path is None or not is_allowed or path.suffix not in _SUFFIXES:
        raise UsageError(
            f"there is no campaign file {name[:200]!r}: expected a YAML file of experiments/campaigns, such as "
            "routing.yaml, or the absolute path of one"
        )
    return path


def _file(path: Path) -> Path | None:
    """Where a file really lies; None when there is none."""
    try:
        real = Path(os.path.realpath(path))
        return real if real.is_file() else None
    except (OSError, ValueError):  # a name that is too long, or has a zero byte
        return None


def requested_path(home: Path, campaign_id: str) -> Path:
    """Where the file of a campaign lies that was asked for over the API."""
    return campaigns_path(home) / RESERVED / f"{campaign_id}.yaml"


def write_requested(home: Path, campaign_id: str, campaign: RoutingCampaignFile) -> Path:
    """Write the file of a requested campaign, every value spelt out; its path."""
    path = requested_path(home, campaign_id)
    with disk_errors(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    document = campaign.model_dump(mode="json", exclude_none=True)
    write_atomically(path, yaml.safe_dump(document, sort_keys=False, allow_unicode=True).encode())
    return path
