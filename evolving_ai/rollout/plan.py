"""What a rollout shall do: its stages as a table, its guard rails, and how sure it has to be."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from evolving_ai.errors import UsageError

__all__ = ["DEFAULT_STAGES", "Margins", "RolloutPlan", "Stage"]

_LEAST_SHARE = 1e-4
_LEAST_ALPHA = 1e-6
_LEAST_MARGIN = 1e-6
_MOST_COST_MARGIN = 100.0
_MOST_REQUESTS = 2**53  # what any program reads from JSON exactly


@dataclass(frozen=True, slots=True)
class Stage:
    """A share of the requests, 0.0001 to 0.9999, and how many requests of both arms it takes at least to go on."""

    share: float
    min_requests: int


DEFAULT_STAGES = (Stage(0.10, 1000), Stage(0.50, 2000))


@dataclass(frozen=True, slots=True)
class Margins:
    """How much worse than the live DNA a candidate may be, for each guard rail.

    `quality`: mean score, 0 to 1. `errors`: share of requests that failed. `slow`: share of requests that take longer
    than 95 % of the live DNA's did at first. `cost`: mean cost of a request, as a share of the live DNA's; worse by
    more is harm. `saving`: which share of the live DNA's cost must at least be saved to be promoted (0: any saving).
    """

    quality: float = 0.03
    errors: float = 0.01
    slow: float = 0.05
    cost: float = 0.10
    saving: float = 0.0


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """How a candidate goes live.

    `alpha`, 1e-6 to 0.5, bounds the probability of promoting a candidate that is worse than a margin allows, and, for
    itself, that of rolling back one that is not for harm. A rollout that could not decide after `max_requests` requests
    of both arms is rolled back. With `needs_approval` an operator has to approve after the gates. UsageError for what
    cannot be.
    """

    stages: tuple[Stage, ...] = DEFAULT_STAGES
    margins: Margins = Margins()
    alpha: float = 0.05
    max_requests: int = 200_000
    needs_approval: bool = False

    def __post_init__(self) -> None:
        shares = [stage.share for stage in self.stages]
        if not shares or shares != sorted(set(shares)) or not all(_is_share(share) for share in shares):
            raise UsageError(f"the shares of the stages are {shares}: expected growing numbers from 0.0001 to 0.9999")
        if not all(_is_count(stage.min_requests) for stage in self.stages):
            raise UsageError("the min_requests of a stage: expected a whole number, 1 to 2**53")
        if not _LEAST_ALPHA <= self.alpha <= 0.5:
            raise UsageError(f"alpha is {self.alpha}: expected 1e-06 to 0.5")
        if not _is_count(self.max_requests):
            raise UsageError(f"max_requests is {self.max_requests!r}: expected a whole number, 1 to 2**53")
        if not isinstance(self.needs_approval, bool):
            raise UsageError(f"needs_approval is {self.needs_approval!r}: expected true or false")
        self._check_margins()

    def _check_margins(self) -> None:
        for name, value in asdict(self.margins).items():
            if name == "cost" and not _LEAST_MARGIN <= value <= _MOST_COST_MARGIN:
                raise UsageError(f"the margin cost is {value}: expected a share of the live DNA's, 1e-06 to 100")
            least = 0.0 if name == "saving" else _LEAST_MARGIN
            if name != "cost" and not least <= value < 1.0:
                raise UsageError(f"the margin {name} is {value}: expected {least:g} or more, less than 1")

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        return {**asdict(self), "stages": [asdict(stage) for stage in self.stages]}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "RolloutPlan":
        """The plan; what is left out is as by default. UsageError when it is something else."""
        unknown = document.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise UsageError(f"a rollout plan has no {', '.join(sorted(unknown))}")
        try:
            chosen: dict[str, Any] = dict(document)
            if "stages" in document:
                chosen["stages"] = tuple(Stage(**stage) for stage in document["stages"])
            if "margins" in document:
                chosen["margins"] = Margins(**document["margins"])
            return cls(**chosen)
        except (TypeError, ValueError, AttributeError) as exc:
            raise UsageError(f"this is no rollout plan: {exc}") from exc


def _is_share(value: float) -> bool:
    return _LEAST_SHARE <= value <= 1.0 - _LEAST_SHARE


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MOST_REQUESTS
