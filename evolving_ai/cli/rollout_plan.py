"""What a rollout is asked to do: a plan file, and the options that go before it."""

import math
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from evolving_ai.errors import UsageError
from evolving_ai.rollout.plan import DEFAULT_STAGES, RolloutPlan
from evolving_ai.settings import read_yaml

__all__ = ["MarginsInFile", "PlanFile", "StageInFile", "asked_plan"]

_DEFAULT = RolloutPlan()
_EXPECTED = "expected growing shares of the requests, such as 0.1,0.5"


class _Keys(BaseModel):
    """Of what is left out nothing is sent: the platform's own defaults hold."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class StageInFile(_Keys):
    """One of the plan's stages."""

    share: float
    min_requests: int


class MarginsInFile(_Keys):
    """How much worse the candidate may be, for each guard rail."""

    quality: float = _DEFAULT.margins.quality
    errors: float = _DEFAULT.margins.errors
    slow: float = _DEFAULT.margins.slow
    cost: float = _DEFAULT.margins.cost
    saving: float = _DEFAULT.margins.saving


class PlanFile(_Keys):
    """A plan file: the keys of a `RolloutPlan`, each optional."""

    stages: list[StageInFile] = Field(default_factory=list)
    margins: MarginsInFile = MarginsInFile()
    alpha: float = _DEFAULT.alpha
    max_requests: int = _DEFAULT.max_requests
    needs_approval: bool = _DEFAULT.needs_approval


def asked_plan(
    file: Path | None,
    *,
    share: str | None = None,
    quality_points: float | None = None,
    alpha: float | None = None,
    needs_approval: bool = False,
) -> dict[str, Any]:
    """The plan as JSON, with nothing in it that was not asked for; options go before the file.

    `share` replaces all stages; each takes as many requests as that at its place would have, or the last.
    UsageError for what cannot be a plan, DataError for a file that cannot be read.
    """
    plan: dict[str, Any] = {} if file is None else read_yaml(file, PlanFile).model_dump(exclude_unset=True)
    if share is not None:
        plan["stages"] = _stages(share, plan.get("stages"))
    if quality_points is not None:
        plan["margins"] = {**plan.get("margins", {}), "quality": quality_points / 100}
    if alpha is not None:
        plan["alpha"] = alpha
    if needs_approval:
        plan["needs_approval"] = True
    RolloutPlan.from_json(plan)
    return plan


def _stages(text: str, planned: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    requests = [stage["min_requests"] for stage in planned or []] or [stage.min_requests for stage in DEFAULT_STAGES]
    try:
        shares = [float(share) for share in text.split(",")]
    except ValueError as exc:
        raise UsageError(f"--share {text}: {_EXPECTED}") from exc
    if not all(math.isfinite(share) for share in shares):
        raise UsageError(f"--share {text}: {_EXPECTED}")
    places = (min(place, len(requests) - 1) for place in range(len(shares)))
    return [{"share": share, "min_requests": requests[place]} for share, place in zip(shares, places, strict=True)]
