"""How a raw value becomes a loss from 0 to 1, larger is worse.

Latency and cost have no natural scale: the first values of the control arm give it. Until there are enough of them,
such a yardstick measures nothing, of neither arm; after that it never changes.
"""

from typing import Protocol

__all__ = ["CAP_IN_MEANS", "CostYardstick", "PlainYardstick", "SlowYardstick", "Yardstick"]

CAP_IN_MEANS = 10.0
_BURN_IN = 100
_SLOW_RANK = 95
_LEAST_CAP_USD = 1e-12
_USD_OF_1K = 1000.0
_POINTS = 100.0


class Yardstick(Protocol):
    """`measure` is given finite values and returns a loss, 0 to 1, or None while the yardstick is being made.

    `unit` is what a loss of 1 is worth in the unit for people; None while it isn't known. `is_settled`: it measures
    from now on. `to_json` and `restore` keep everything exactly.
    """

    @property
    def is_settled(self) -> bool: ...

    @property
    def unit(self) -> float | None: ...

    def measure(self, value: float, *, is_canary: bool) -> float | None: ...

    def to_json(self) -> list[float]: ...

    def restore(self, document: list[float]) -> None: ...


class PlainYardstick:
    """For what is a loss already; what is out of range counts as the end of the range."""

    __slots__ = ()

    @property
    def is_settled(self) -> bool:
        return True

    @property
    def unit(self) -> float:
        return _POINTS

    def measure(self, value: float, *, is_canary: bool) -> float:  # noqa: ARG002 - the port has it
        return 0.0 if value < 0.0 else min(value, 1.0)

    def to_json(self) -> list[float]:
        return []

    def restore(self, document: list[float]) -> None:
        if document:
            raise ValueError(f"{len(document)} values of a yardstick: expected none")


class _Learned:
    """The first values of the control arm make a bound."""

    __slots__ = ("_bound", "_values")

    def __init__(self) -> None:
        self._values: list[float] = []
        self._bound: float | None = None

    @property
    def is_settled(self) -> bool:
        return self._bound is not None

    def _learn(self, value: float, *, is_canary: bool) -> None:
        if not is_canary:
            # More than enough are there only where no bound came of them: then the last ones count.
            self._values = [*self._values, value][-_BURN_IN:]
            self._settle()

    def _settle(self) -> None:
        if len(self._values) >= _BURN_IN:
            self._bound = self._bound_of(self._values)

    def _bound_of(self, values: list[float]) -> float | None:
        raise NotImplementedError

    def to_json(self) -> list[float]:
        return list(self._values)

    def restore(self, document: list[float]) -> None:
        if len(document) > _BURN_IN:
            raise ValueError(f"{len(document)} values of a yardstick: expected {_BURN_IN} or fewer")
        self._values = [float(value) for value in document]
        self._settle()


class SlowYardstick(_Learned):
    """1 for a request that takes longer than 95 % of the control arm's first ones did, in seconds; else 0."""

    __slots__ = ()

    @property
    def unit(self) -> float:
        return _POINTS

    def measure(self, value: float, *, is_canary: bool) -> float | None:
        if self._bound is None:
            self._learn(value, is_canary=is_canary)
            return None
        return 1.0 if value > self._bound else 0.0

    def _bound_of(self, values: list[float]) -> float:
        return sorted(values)[_SLOW_RANK * len(values) // 100 - 1]


class CostYardstick(_Learned):
    """Cost in US dollars as a share of ten times the control arm's first mean: what costs more counts as that much.

    So the first mean is a loss of `1 / CAP_IN_MEANS`. While the control arm has cost nothing, it goes on collecting:
    nothing gives no scale.
    """

    __slots__ = ()

    @property
    def unit(self) -> float | None:
        return None if self._bound is None else self._bound * _USD_OF_1K

    def measure(self, value: float, *, is_canary: bool) -> float | None:
        if self._bound is None:
            self._learn(value, is_canary=is_canary)
            return None
        return 0.0 if value < 0.0 else min(value / self._bound, 1.0)

    def _bound_of(self, values: list[float]) -> float | None:
        total = sum(values)
        return max(CAP_IN_MEANS * total / len(values), _LEAST_CAP_USD) if total > 0.0 else None
