"""Faults that a test or a demo orders from a replay provider: errors, stalls, rate limits, slowness, wrong answers.

A share is kept exactly and without chance: of every hundred requests, `share` x 100 are hit, evenly spread.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from evolving_ai.errors import UsageError

__all__ = ["EVERY_MODEL", "Fault", "FaultKind", "Faults", "check_model"]

EVERY_MODEL = "*"
_MAX_SECONDS = 86_400.0
_DEFAULT_STATUS = {"error": 500, "rate_limit": 429}
_DEFAULT_SECONDS = {"stall": 3600.0, "rate_limit": 1.0, "slow": 1.0}
_FIELDS = frozenset({"model", "kind", "share", "seconds", "status"})


class FaultKind(StrEnum):
    """What happens to a request."""

    ERROR = "error"  # answered with `status`
    STALL = "stall"  # nothing comes for `seconds`, then an error
    RATE_LIMIT = "rate_limit"  # 429, with `seconds` as retry-after
    SLOW = "slow"  # the answer begins `seconds` later
    WRONG = "wrong"  # answered with 200, as fast and as long as ever, but with score 0: a model that got worse


@dataclass(frozen=True, slots=True)
class Fault:
    """What is to happen to a `share` (0 to 1) of the requests to `model` (`*`: to each model)."""

    model: str
    kind: FaultKind
    share: float
    seconds: float
    status: int

    @classmethod
    def parse(cls, document: Any, models: tuple[str, ...]) -> "Fault":
        """The fault of a JSON object; UsageError when it is none."""
        if not isinstance(document, dict) or not document.keys() <= _FIELDS:
            raise UsageError(f"expected a JSON object with {', '.join(sorted(_FIELDS))}")
        model, kind = document.get("model", EVERY_MODEL), document.get("kind")
        check_model(model, models)
        if kind not in list(FaultKind):
            raise UsageError(f"kind cannot be {kind!r}: expected one of {', '.join(FaultKind)}")
        share = _number(document, "share", 1.0, 1.0)
        seconds = _number(document, "seconds", _DEFAULT_SECONDS.get(kind, 0.0), _MAX_SECONDS)
        status = document.get("status", _DEFAULT_STATUS.get(kind, 500))
        if type(status) is not int or not 400 <= status < 600:
            raise UsageError(f"status cannot be {status!r}: expected 400 to 599")
        return cls(model, FaultKind(kind), share, seconds, status)

    def to_json(self) -> dict[str, Any]:
        """The object that `parse` reads."""
        return {
            "model": self.model,
            "kind": self.kind.value,
            "share": self.share,
            "seconds": self.seconds,
            "status": self.status,
        }


class Faults:
    """The faults in force: one for each model, and one for every model that has none of its own."""

    def __init__(self) -> None:
        self._by_model: dict[str, Fault] = {}
        self._due: dict[str, float] = {}

    def set(self, fault: Fault) -> None:
        """From now on this one, instead of an earlier one for the same model."""
        self._by_model[fault.model] = fault
        self._due = {}

    def clear(self, model: str | None = None) -> None:
        """No more faults; `model`: none that was ordered for it (`*`: for each model), the others stay."""
        for name in list(self._by_model) if model is None else [model]:
            self._by_model.pop(name, None)
        self._due = {}

    @property
    def in_force(self) -> tuple[Fault, ...]:
        return tuple(self._by_model.values())

    def next(self, model: str) -> Fault | None:
        """What is to happen to the next request to `model`; None: nothing."""
        if not self._by_model:
            return None
        fault = self._by_model.get(model) or self._by_model.get(EVERY_MODEL)
        if fault is None:
            return None
        due = self._due.get(model, 0.0) + fault.share
        hits = due >= 1.0 - 1e-9  # sums of decimal shares fall short of 1 by their rounding
        self._due[model] = due - 1.0 if hits else due
        return fault if hits else None


def check_model(model: Any, models: tuple[str, ...]) -> None:
    """UsageError unless a fault can be ordered for `model`."""
    if model != EVERY_MODEL and model not in models:
        raise UsageError(f"model {model!r} is not replayed: expected * or one of {', '.join(models)}")


def _number(document: Mapping[str, Any], name: str, default: float, highest: float) -> float:
    value = document.get(name, default)
    if type(value) not in (int, float) or not math.isfinite(value) or not 0 <= value <= highest:
        raise UsageError(f"{name} cannot be {value!r}: expected a number from 0 to {highest:g}")
    return float(value)
