"""How far a campaign is: what a screen shows while it runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evolving_ai.domain.fitness import Objective
from evolving_ai.evolution.candidate import Scored

__all__ = ["Progress", "Tally"]


@dataclass(frozen=True, slots=True)
class Progress:
    """A moment of a campaign. `done` of `total` results are admitted; `best` maps objectives to the best score so far.

    `evaluations_per_s` counts this run only; `left_s` is None until a rate is known. `emitters` maps each emitter to
    the number of its candidates and how many of them entered the archive.
    """

    done: int
    total: int
    in_flight: int
    failed: int
    elapsed_s: float
    evaluations_per_s: float
    left_s: float | None
    best: Mapping[str, float]
    front_size: int
    emitters: Mapping[str, tuple[int, int]]


class Tally:
    """Running counts over admitted candidates, so that progress costs the same however long a campaign is."""

    def __init__(self, objectives: Sequence[Objective]) -> None:
        self._objectives = tuple(objectives)
        self.failed = 0
        self._best: dict[str, float] = {}
        self._highest: dict[str, float] = {}
        self._emitters: dict[str, tuple[int, int]] = {}

    @property
    def best(self) -> dict[str, float]:
        """The best score of each objective; none before the first success."""
        return dict(self._best)

    @property
    def highest(self) -> dict[str, float]:
        """The highest value of each measure; none before the first success."""
        return dict(self._highest)

    @property
    def emitters(self) -> dict[str, tuple[int, int]]:
        """Candidates and improvements of each emitter."""
        return dict(self._emitters)

    def count(self, scored: Scored) -> None:
        """One more admitted candidate."""
        candidates, improvements = self._emitters.get(scored.candidate.emitter, (0, 0))
        self._emitters[scored.candidate.emitter] = (candidates + 1, improvements + scored.entered)
        if scored.evaluation is None or scored.evaluation.failure is not None:
            self.failed += 1
            return
        for objective in self._objectives:
            value = scored.evaluation.scores[objective.name].value
            best = self._best.get(objective.name)
            if best is None or objective.gain(value) > objective.gain(best):
                self._best[objective.name] = value
        for name, value in scored.evaluation.measures.items():
            self._highest[name] = max(value, self._highest.get(name, value))
