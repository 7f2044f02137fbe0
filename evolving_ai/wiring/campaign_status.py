"""Where a campaign stands, as its users ask: read from its ledger, its branch and its log, without disturbing any.

A look costs a few milliseconds, however long the campaign is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from evolving_ai.decision.replay_evaluator import FITNESS
from evolving_ai.domain.dna import Commit
from evolving_ai.evolution.folder import CampaignFolder
from evolving_ai.evolution.state import CampaignState
from evolving_ai.wiring.campaign_winner import CampaignWinners
from evolving_ai.wiring.campaigns import INTERRUPTED, Standing, standing

__all__ = ["CampaignStatus", "log_error", "log_path", "read_status", "unreadable_status"]

_ENDS_WITH_A_WINNER = (CampaignState.TARGET_REACHED, CampaignState.BUDGET_EXHAUSTED)
_ERROR = "error: "
_TAIL_BYTES = 8192
_LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class CampaignStatus:
    """A campaign at this moment.

    `state` is one of evolution.state.CampaignState, or `interrupted`: its process died before its end. It is `running`
    until the winner is committed, too. `best` maps objectives to the best score so far; `fitness_score` is the
    highest utility over the oracle's utility so far, 0 to 1 (None before the first result). `winner` is the winner's
    commit, `winner_dna_hash` the hash of its genome; where nothing was better they are those that it started from.
    `updated` is ISO 8601.
    """

    id: str
    state: str
    reason: str
    iterations: int = 0
    max_iterations: int = 0
    best: Mapping[str, float] = field(default_factory=dict)
    fitness_score: float | None = None
    target_fitness: float | None = None
    winner: str | None = None
    winner_dna_hash: str | None = None
    elapsed_s: float = 0.0
    updated: str | None = None
    is_stop_requested: bool = False


def read_status(home: Path, folder: CampaignFolder, winners: CampaignWinners) -> CampaignStatus:
    """The status of a campaign. StorageError or RefNotFoundError when its ledger cannot be read."""
    now = standing(folder)
    winner = None if now.is_run or now.recorded == CampaignState.CREATED else _winner(folder, winners)
    state, reason = _state(home, folder, now, winner)
    detail, target = now.detail, now.header.get("target")
    return CampaignStatus(
        id=folder.id,
        state=state,
        reason=reason,
        iterations=int(detail.get("evaluations", 0)),
        max_iterations=max(int(now.header.get("max_evaluations", 0)), int(detail.get("max_evaluations", 0))),
        best=dict(detail.get("best", {})),
        fitness_score=detail.get("highest_measures", {}).get(FITNESS),
        target_fitness=float(target[1]) if target and target[0] == FITNESS else None,
        winner=None if winner is None else winner.hash,
        winner_dna_hash=None if winner is None else winner.genome.hash,
        elapsed_s=float(detail.get("elapsed_s", 0.0)),
        updated=detail.get("updated"),
        is_stop_requested=now.is_run and folder.is_stop_requested(),
    )


def unreadable_status(campaign_id: str, problem: str) -> CampaignStatus:
    """What a list says of a campaign whose ledger cannot be read."""
    return CampaignStatus(campaign_id, "unreadable", problem)


def _winner(folder: CampaignFolder, winners: CampaignWinners) -> Commit | None:
    """The winner; what the campaign started from counts as one once the report, its last step, says so."""
    improvement = winners.improvement(folder.id)
    if improvement is not None or not (folder.report_path / "report.md").is_file():
        return improvement
    return winners.tip(folder.id)


def _state(home: Path, folder: CampaignFolder, now: Standing, winner: Commit | None) -> tuple[str, str]:
    reason = str(now.detail.get("reason", ""))
    if now.is_run:
        if now.recorded in (CampaignState.CREATED, CampaignState.RUNNING):
            return now.recorded, reason
        return CampaignState.RUNNING, f"{reason}: the winner is being committed"
    is_cut_off = now.state == INTERRUPTED or (now.state in _ENDS_WITH_A_WINNER and winner is None)
    if not is_cut_off:
        return now.state, reason
    error = None if now.recorded == CampaignState.RUNNING else log_error(log_path(home, folder.id))
    if error is not None:
        return CampaignState.FAILED, error
    return INTERRUPTED, f"its process ended before it was done: `evolving-ai campaign resume {folder.id}` goes on"


def log_path(home: Path, campaign_id: str) -> Path:
    """What the process of a campaign printed that was started over the API."""
    return home / "logs" / f"campaign-{campaign_id}.log"


def log_error(log: Path) -> str | None:
    """The error with which a process ended, without its prefix; None when it told none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:  # a campaign from the command line has no log
        return None
    told = [line.removeprefix(_ERROR).strip() for line in lines if line.startswith(_ERROR)]
    return told[-1][:_LONGEST_REASON] if told else None
