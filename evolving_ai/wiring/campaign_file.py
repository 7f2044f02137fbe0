"""Campaign files: what a person writes to describe a search, checked where it enters."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, StrictStr, model_validator

from evolving_ai.errors import DataError
from evolving_ai.settings import read_yaml

__all__ = ["OperatingPoint", "RoutingCampaignFile", "TargetScore", "read_campaign_file"]

_FILE_IN_FOLDER = "campaign.yaml"


class OperatingPoint(BaseModel):
    """Which candidate wins: the best in quality that costs at most this share of the best single model's cost."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    max_cost_share: StrictFloat | StrictInt = Field(default=0.35, gt=0, le=1)


class TargetScore(BaseModel):
    """The campaign ends early when a candidate reaches `value` of `objective`.

    `fitness_score` is the utility of a candidate over that of the oracle, 0 to 1. Of a campaign that aims at it, the
    candidate with the highest one wins, whatever the operating point says.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    objective: Literal["quality", "cost_usd_per_1k", "fitness_score"]
    value: StrictFloat | StrictInt

    @model_validator(mode="after")
    def _is_in_range(self) -> Self:
        if self.objective == "fitness_score" and not 0 <= self.value <= 1:
            raise ValueError("expected a fitness_score from 0 to 1")
        return self


class RoutingCampaignFile(BaseModel):
    """A search for a better routing policy on recorded outcomes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    kind: Literal["routing"] = Field(description="What is evolved.")
    name: StrictStr = Field(default="routing", pattern=r"^[a-z0-9][a-z0-9-]{0,30}$", description="Begins the id.")
    data: Path | None = Field(default=None, description="Outcome table; relative paths start at this file.")
    context: tuple[StrictStr, ...] = Field(default=(), description="Columns that a decision may read.")
    start_from: StrictStr = Field(default="main", description="The REF of the incumbent.")
    genes: tuple[StrictStr, ...] = Field(
        default=("features.", "classes.", "clusters.", "quality.", "cost.", "score."),
        description="What may change: genes, or groups that end in a dot.",
    )
    seed: StrictInt = Field(default=0, ge=0, lt=2**31)
    evals: StrictInt = Field(default=400, ge=1, description="Budget: candidates evaluated.")
    folds: StrictInt = Field(default=3, ge=2, le=20, description="Cross-validation folds of the train split.")
    window: StrictInt = Field(default=8, ge=1, le=1024, description="Candidates in flight.")
    utility_cost_weight: StrictFloat | StrictInt = Field(default=0.1, ge=0)
    operating_point: OperatingPoint = OperatingPoint()
    target: TargetScore | None = None
    time_limit_s: StrictFloat | StrictInt | None = Field(default=None, gt=0)
    deadline_s: StrictFloat | StrictInt = Field(default=120, gt=0, description="Of one evaluation.")
    executor: Literal["process", "ray"] = Field(default="process", description="Where evaluations run.")
    workers: StrictInt | None = Field(default=None, ge=1, le=256, description="Actors; default: one for each core.")


def read_campaign_file(path: Path) -> RoutingCampaignFile:
    """The campaign described by a file, or by `campaign.yaml` in a folder; its `data` made absolute.

    DataError when there is none, SettingsError when a key is unknown or a value is of the wrong type.
    """
    file = path / _FILE_IN_FOLDER if path.is_dir() else path
    if not file.is_file():
        what = f"{path} holds no {_FILE_IN_FOLDER}" if path.is_dir() else f"{path} does not exist"
        raise DataError(f"{what}: expected a campaign file (YAML), or a folder with one")
    campaign = read_yaml(file, RoutingCampaignFile)
    if campaign.data is None:
        return campaign
    return campaign.model_copy(update={"data": (file.parent / campaign.data.expanduser()).resolve()})
