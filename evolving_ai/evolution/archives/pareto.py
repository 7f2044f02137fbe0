"""The Pareto archive: the candidates that no other candidate beats in every objective.

A candidate dominates another when it is at least as good in every objective and better in one (point values; standard
errors are kept beside, for whoever promotes). Of candidates with equal scores the one asked for first stands. Results
of a lower fidelity never compete with those of a higher one: the archive keeps the highest fidelity it has seen.
With one objective the archive holds the best candidate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evolving_ai._common.canonical import canonical_bytes, sha256_hex
from evolving_ai.domain.fitness import Objective
from evolving_ai.evolution.archives.hypervolume import contributions, hypervolume

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Elite", "ParetoArchive"]


@dataclass(frozen=True, slots=True)
class Elite:
    """A member: the candidate's index, its genome's hash, its gains (larger is better) in the objectives' order."""

    index: int
    genome_hash: str
    gains: tuple[float, ...]


class ParetoArchive:
    """A front over `objectives`.

    `max_size` (None: unbounded; else at least the number of objectives) drops the member that adds least: by
    hypervolume with two objectives (Beume, Naujoks, Emmerich: SMS-EMOA, EJOR 2007), by crowding distance (Deb et al.:
    NSGA-II, IEEE TEC 2002) with more. Members that are best in an objective are never dropped so.
    """

    def __init__(self, objectives: Sequence[Objective], *, max_size: int | None = None) -> None:
        import numpy as np

        self._objectives = tuple(objectives)
        self._max_size = max_size
        self._fidelity = 0.0
        self._members: list[Elite] = []
        self._gains: NDArray[np.float64] = np.empty((0, len(self._objectives)))
        self._crowding: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self._members)

    @property
    def members(self) -> tuple[Elite, ...]:
        """The front in the order of the indices."""
        return tuple(sorted(self._members, key=lambda member: member.index))

    @property
    def gains(self) -> "NDArray[np.float64]":
        """The gains of the members, one row each, in the order they entered."""
        return self._gains

    def member(self, position: int) -> Elite:
        """The member of that row of `gains`."""
        return self._members[position]

    def add(self, elite: Elite, *, fidelity: float = 1.0) -> bool:
        """Offer a candidate; whether it is in the archive now. Members that it dominates leave."""
        import numpy as np

        if fidelity < self._fidelity:
            return False
        if fidelity > self._fidelity:
            self._fidelity = fidelity
            self._keep(np.zeros(len(self._members), dtype=bool))
        row = np.array(elite.gains, dtype=np.float64)
        if self._is_beaten(row, elite.index):
            return False
        self._keep(~np.asarray((self._gains <= row).all(axis=1)))
        self._members.append(elite)
        self._gains = np.vstack((self._gains, row))
        self._crowding = None
        return not self._drops_newest()

    def _is_beaten(self, row: "NDArray[np.float64]", index: int) -> bool:
        import numpy as np

        for position in np.flatnonzero((self._gains >= row).all(axis=1)):
            equal = bool((self._gains[position] == row).all())
            if not equal or self._members[position].index <= index:
                return True
        return False

    def _keep(self, mask: "NDArray[np.bool_]") -> None:
        if not mask.all():
            self._members = [member for member, kept in zip(self._members, mask, strict=True) if kept]
            self._gains = self._gains[mask]
            self._crowding = None

    def _drops_newest(self) -> bool:
        """Shrink to the bound; whether it was the newest member that had to go."""
        import numpy as np

        if self._max_size is None or len(self._members) <= self._max_size:
            return False
        worth = self._worth()
        best = set(self._gains.argmax(axis=0).tolist())
        rows = (row for row in range(len(worth)) if row not in best)
        victim = min(rows, key=lambda row: (worth[row], -self._members[row].index))
        mask = np.ones(len(self._members), dtype=bool)
        mask[victim] = False
        self._keep(mask)
        return victim == len(worth) - 1

    def _worth(self) -> "NDArray[np.float64]":
        if self._gains.shape[1] != 2:
            return self.crowding()
        return contributions(self._gains, self._gains.min(axis=0))

    def crowding(self) -> "NDArray[np.float64]":
        """NSGA-II's crowding distance of each row of `gains`; infinite at the ends of the front."""
        if self._crowding is None:
            self._crowding = _crowding_distance(self._gains)
        return self._crowding

    def hypervolume(self, reference: Sequence[float]) -> float:
        """The volume that the front dominates above `reference` (one gain for each objective)."""
        import numpy as np

        return hypervolume(self._gains, np.asarray(reference, dtype=np.float64))

    def improvement(self, gains: Sequence[float]) -> float:
        """How much a candidate with these gains would add, in shares of the front's own box; 0 when it is beaten.

        One objective: the gain over the best. Two: the hypervolume added above the front's worst values less a
        tenth of their range. More: 1, because the exact volume would cost more than most evaluations.
        """
        import numpy as np

        row = np.asarray(gains, dtype=np.float64)
        if (self._gains >= row).all(axis=1).any():
            return 0.0
        if len(self._members) == 0 or len(row) > 2:
            return 1.0
        if len(row) == 1:
            return float(row[0] - self._gains[:, 0].max())
        points = np.vstack((self._gains, row))
        low, high = points.min(axis=0), points.max(axis=0)
        span = np.where(high > low, high - low, 1.0)
        unit = (points - low) / span
        reference = np.full(2, -0.1)
        return hypervolume(unit, reference) - hypervolume(unit[:-1], reference)

    def digest(self) -> str:
        """SHA-256 of the front: equal digests mean the same members with the same scores."""
        rows = [[member.index, member.genome_hash, list(member.gains)] for member in self.members]
        document = {"objectives": [[o.name, o.direction] for o in self._objectives], "members": rows}
        return sha256_hex(canonical_bytes(document))


def _crowding_distance(gains: "NDArray[np.float64]") -> "NDArray[np.float64]":
    import numpy as np

    distance = np.zeros(len(gains))
    if len(gains) == 0:
        return distance
    for column in gains.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]]
        if span > 0:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
        distance[order[[0, -1]]] = np.inf
    return distance
