"""What a campaign found, as its report and its caller see it."""

from collections.abc import Sequence
from dataclasses import dataclass

from evolving_ai.evolution.archives.pareto import ParetoArchive
from evolving_ai.evolution.campaign import CampaignSpec
from evolving_ai.evolution.candidate import Scored
from evolving_ai.evolution.state import CampaignState

__all__ = ["CampaignResult"]


@dataclass(frozen=True, slots=True)
class CampaignResult:
    """A campaign at its end, or where it was stopped.

    `scored` holds every candidate asked for, in order (no evaluation: abandoned or not yet admitted). `controller_s`
    is this run's time outside the executor, `busy_s` the evaluators' own time, `elapsed_s` all runs together.
    """

    spec: CampaignSpec
    state: CampaignState
    reason: str
    archive: ParetoArchive
    scored: Sequence[Scored]
    evaluations: int
    elapsed_s: float
    controller_s: float
    busy_s: float

    @property
    def front(self) -> tuple[Scored, ...]:
        """The members of the archive in the order in which they were asked for."""
        return tuple(self.scored[member.index] for member in self.archive.members)

    @property
    def incumbent(self) -> Scored:
        """The candidate that everything else is compared with."""
        return self.scored[0]
