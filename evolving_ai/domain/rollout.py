"""Rollouts: how a DNA that was proposed becomes the live one, or doesn't.

The states are a table; a transition that is not in it cannot happen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

__all__ = ["TRANSITIONS", "Assignment", "RolloutState", "moved"]


class RolloutState(StrEnum):
    """Where a rollout stands."""

    GATING = "gating"  # the gates are being asked; no request sees the candidate
    AWAITING_APPROVAL = "awaiting_approval"  # the gates let it pass; an operator has to say so, too
    CANARY = "canary"  # a share of the requests is decided by the candidate
    PROMOTED = "promoted"  # the candidate is live
    ROLLED_BACK = "rolled_back"  # the candidate did harm, or could not be shown to do none
    REFUSED = "refused"  # a gate vetoed it
    STOPPED = "stopped"  # somebody ended it

    @property
    def is_over(self) -> bool:
        return not TRANSITIONS[self]


TRANSITIONS: Mapping[RolloutState, frozenset[RolloutState]] = MappingProxyType(
    {
        RolloutState.GATING: frozenset(
            {RolloutState.REFUSED, RolloutState.AWAITING_APPROVAL, RolloutState.CANARY, RolloutState.STOPPED}
        ),
        RolloutState.AWAITING_APPROVAL: frozenset({RolloutState.CANARY, RolloutState.STOPPED}),
        RolloutState.CANARY: frozenset(
            # A canary becomes a canary: of a larger share.
            {RolloutState.CANARY, RolloutState.PROMOTED, RolloutState.ROLLED_BACK, RolloutState.STOPPED}
        ),
        RolloutState.PROMOTED: frozenset(),
        RolloutState.ROLLED_BACK: frozenset(),
        RolloutState.REFUSED: frozenset(),
        RolloutState.STOPPED: frozenset(),
    }
)


def moved(before: RolloutState, after: RolloutState) -> RolloutState:
    """The new state; ValueError when the table does not have this transition."""
    if after not in TRANSITIONS[before]:
        raise ValueError(f"a rollout that is {before.value} cannot become {after.value}")
    return after


@dataclass(frozen=True, slots=True)
class Assignment:
    """To which arm of a rollout a request was assigned, and how probable the canary was (`share`, 0 to 1).

    `unit` (64 bits) stands for the user or the conversation that was assigned as a whole; see `router.assignment`.
    """

    rollout: str
    is_canary: bool
    share: float
    unit: int
