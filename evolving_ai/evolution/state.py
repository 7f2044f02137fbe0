"""Where a campaign stands, and which way it may go from there."""

from enum import StrEnum

from evolving_ai.errors import CampaignError

__all__ = ["CampaignState", "advance"]


class CampaignState(StrEnum):
    """The states of a campaign. Resumable: created, running (its process died), stopped; a spent budget when raised."""

    CREATED = "created"
    RUNNING = "running"
    STOPPED = "stopped"
    TARGET_REACHED = "target_reached"
    BUDGET_EXHAUSTED = "budget_exhausted"
    FAILED = "failed"


_NEXT: dict[CampaignState, frozenset[CampaignState]] = {
    CampaignState.CREATED: frozenset({CampaignState.RUNNING}),
    CampaignState.RUNNING: frozenset(CampaignState) - {CampaignState.CREATED},
    CampaignState.STOPPED: frozenset({CampaignState.RUNNING}),
    CampaignState.BUDGET_EXHAUSTED: frozenset({CampaignState.RUNNING}),
    CampaignState.FAILED: frozenset({CampaignState.RUNNING}),
    CampaignState.TARGET_REACHED: frozenset(),
}


def advance(current: CampaignState, wanted: CampaignState) -> CampaignState:
    """`wanted`, when a campaign may go there from `current`; CampaignError otherwise."""
    if wanted not in _NEXT[current]:
        ways = ", ".join(sorted(_NEXT[current])) or "nothing: it is final"
        raise CampaignError(f"a campaign that is {current} cannot become {wanted}: it may become {ways}")
    return wanted
