"""Which gateway replicas there are, as far as they were heard of lately."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evolving_ai._common.clock import Clock

__all__ = ["Replica", "Replicas", "stats_json"]

_GONE_AFTER_S = 10.0


@dataclass(frozen=True, slots=True)
class Replica:
    """What a replica said of itself. `seen_s` is monotonic."""

    name: str
    versions: Mapping[str, int]
    stats: Mapping[str, float]
    seen_s: float


class Replicas:
    """The replicas by name; those that are silent for ten seconds are gone, their counts are kept in the sums.

    One that is heard of again is there again, and is counted once.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._replicas: dict[str, Replica] = {}
        self._gone: dict[str, Mapping[str, float]] = {}

    def heard(self, name: str, versions: Mapping[str, int], stats: Mapping[str, float]) -> None:
        """A replica said how it is."""
        self._forget_the_silent()
        self._gone.pop(name, None)
        self._replicas[name] = Replica(name, versions, stats, self._clock.monotonic_s())

    @property
    def present(self) -> tuple[Replica, ...]:
        """Those that are there."""
        self._forget_the_silent()
        return tuple(self._replicas.values())

    def totals(self) -> dict[str, float]:
        """Sums over all replicas since this control started, those that are gone included."""
        present = self.present
        totals: dict[str, float] = {}
        for stats in (*self._gone.values(), *(replica.stats for replica in present)):
            for name, value in stats.items():
                totals[name] = totals.get(name, 0.0) + value
        return totals

    def _forget_the_silent(self) -> None:
        limit_s = self._clock.monotonic_s() - _GONE_AFTER_S
        for name, replica in list(self._replicas.items()):
            if replica.seen_s < limit_s:
                del self._replicas[name]
                self._gone[name] = {stat: value for stat, value in replica.stats.items() if stat != "in_flight"}


def stats_json(replica: Replica) -> dict[str, Any]:
    """A replica as JSON."""
    return {"replica": replica.name, "versions": dict(replica.versions), "stats": dict(replica.stats)}
