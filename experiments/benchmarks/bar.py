"""Figures, and the bars that some of them have to clear. What a benchmark measures ends here, as plain JSON."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

__all__ = ["Bar", "Limit", "Outcome"]

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {">=": operator.ge, "<=": operator.le, "<": operator.lt, "=": operator.eq}
)


@dataclass(frozen=True, slots=True)
class Limit:
    """What a figure is held against: `>= 1.5`. `comparison` is one of `>= <= < =`."""

    comparison: str
    value: float

    def __post_init__(self) -> None:
        if self.comparison not in _COMPARISONS:
            raise ValueError(f"comparison {self.comparison!r}: expected one of {' '.join(_COMPARISONS)}")

    def is_met_by(self, value: float) -> bool:
        """Whether `value` clears the bar; NaN never does."""
        return _COMPARISONS[self.comparison](value, self.value)

    def __str__(self) -> str:
        return f"{self.comparison} {self.value:g}"


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure. Without a `limit` it is for information, and ok. `interval` holds 95 % unless the name says else."""

    name: str
    value: float
    unit: str
    limit: Limit | None = None
    interval: tuple[float, float] | None = None

    @property
    def ok(self) -> bool:
        return self.limit is None or self.limit.is_met_by(self.value)

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `interval` only where there is one."""
        document = {
            "name": self.name,
            "value": _rounded(self.value),
            "unit": self.unit,
            "bar": None if self.limit is None else str(self.limit),
            "ok": self.ok,
        }
        if self.interval is not None:
            document["interval"] = [_rounded(end) for end in self.interval]
        return document


def _rounded(value: float) -> float:
    """Six significant digits: more would be noise."""
    return float(f"{value:.6g}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a benchmark found. `data` names the table; `about` is JSON that helps to read the figures."""

    bars: tuple[Bar, ...]
    data: str
    about: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The document that `bench --json` prints."""
        return {"data": self.data, **self.about, "bars": [bar.to_json() for bar in self.bars]}
