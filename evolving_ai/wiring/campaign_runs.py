"""Running campaigns: from a home and a description to a committed winner and a report."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from threadpoolctl import threadpool_limits

from evolving_ai._common.clock import SystemClock
from evolving_ai._common.ids import new_id
from evolving_ai.decision.cost_quality import Interval
from evolving_ai.domain.dna import Commit
from evolving_ai.errors import UsageError
from evolving_ai.evolution.campaign import CampaignSpec
from evolving_ai.evolution.folder import CampaignFolder
from evolving_ai.evolution.in_process import InProcessExecutor
from evolving_ai.evolution.ports import Executor
from evolving_ai.evolution.progress import Progress
from evolving_ai.evolution.replay import stored_spec
from evolving_ai.evolution.report import write_report
from evolving_ai.evolution.result import CampaignResult
from evolving_ai.evolution.runner import run_campaign
from evolving_ai.stores.history import DnaHistory
from evolving_ai.stores.ports import CampaignLedger
from evolving_ai.wiring.campaign_file import RoutingCampaignFile
from evolving_ai.wiring.campaigns import campaigns_path, create_ledger, open_ledger
from evolving_ai.wiring.routing_campaign import RoutingRun, TableRow, branch_of, plan, restore
from evolving_ai.wiring.search_space import search_space
from evolving_ai.wiring.stores import open_history

__all__ = ["FinishedCampaign", "resume_campaign", "start_campaign"]


@dataclass(frozen=True)
class FinishedCampaign:
    """What a run of a campaign left behind. `table` is None where the data has no test split.

    `is_within_limit`: the winner costs no more than the operating point allows (else it is the cheapest there is).
    """

    result: CampaignResult
    winner: int
    is_within_limit: bool
    commit: Commit
    report: Path
    table: tuple[TableRow, ...] | None
    gain_over_best_single: Interval | None


def start_campaign(
    home: Path,
    campaign: RoutingCampaignFile,
    *,
    campaign_id: str | None = None,
    on_start: Callable[[str], None],
    on_progress: Callable[[Progress], None],
) -> FinishedCampaign:
    """Run a new campaign to its end; `on_start` is told its id before anything is evaluated.

    `campaign_id` names it (default: a new id); UsageError when that is no id, or taken by another campaign.
    """
    folder = CampaignFolder(campaigns_path(home), new_id(campaign.name) if campaign_id is None else campaign_id)
    with open_history(home) as history:
        _refuse_taken(folder, history)
        run = plan(campaign, folder.id, history, search_space())
    with create_ledger(folder, run.spec) as ledger:
        on_start(run.spec.id)
        return _run(home, run, folder, ledger, on_progress)


def _refuse_taken(folder: CampaignFolder, history: DnaHistory) -> None:
    if folder.path.exists():
        raise UsageError(f"campaign {folder.id} exists already: choose another id, or `campaign resume {folder.id}`")
    branch = branch_of(folder.id)
    if branch in history.branches():
        raise UsageError(f"branch {branch} exists already, of an earlier campaign: choose another id")


def resume_campaign(
    home: Path,
    campaign_id: str,
    *,
    max_evaluations: int | None,
    on_start: Callable[[str], None],
    on_progress: Callable[[Progress], None],
) -> FinishedCampaign:
    """Go on with a campaign from wherever its ledger stands; `max_evaluations` gives it another budget."""
    folder = CampaignFolder(campaigns_path(home), campaign_id)
    folder.require()
    with open_ledger(folder, writer=True) as ledger:
        spec = stored_spec(ledger)
        if max_evaluations is not None:
            spec = _with_budget(spec, ledger, max_evaluations)
        run = restore(spec)
        on_start(campaign_id)
        return _run(home, run, folder, ledger, on_progress)


def _with_budget(spec: CampaignSpec, ledger: CampaignLedger, max_evaluations: int) -> CampaignSpec:
    begun = sum(1 for _ in ledger.candidates())
    if max_evaluations < begun:
        raise UsageError(f"campaign {spec.id} has begun {begun} evaluations already: give --evals {begun} or more")
    return dataclasses.replace(spec, max_evaluations=max_evaluations)


def _run(
    home: Path,
    run: RoutingRun,
    folder: CampaignFolder,
    ledger: CampaignLedger,
    on_progress: Callable[[Progress], None],
) -> FinishedCampaign:
    with _executor(run) as executor:
        result = run_campaign(
            run.spec,
            ledger,
            executor,
            clock=SystemClock(),
            on_progress=on_progress,
            should_stop=folder.is_stop_requested,
        )
    winner = run.winner(result)
    with open_history(home) as history:
        commit = run.commit(history, result, winner)
    report = write_report(result, folder.report_path, winner=winner, references=run.references())
    with threadpool_limits(limits=1):  # as the evaluators decide
        held_out = run.held_out_table(commit.genome)
    table, gain = held_out if held_out is not None else (None, None)
    return FinishedCampaign(result, winner, run.is_within_limit(result, winner), commit, report, table, gain)


@contextlib.contextmanager
def _executor(run: RoutingRun) -> Iterator[Executor]:
    """The executor that the campaign asks for; `ray` also whenever RAY_ADDRESS names a cluster to use."""
    clock = SystemClock()
    if run.spec.about["executor"] == "ray" or os.environ.get("RAY_ADDRESS"):
        # Imported here: a campaign in process does not pay for Ray.
        from evolving_ai.evolution.on_ray.session import ray_session

        actors = run.spec.about["workers"] or os.cpu_count() or 1
        with ray_session(num_cpus=actors, clock=clock):
            from evolving_ai.evolution.on_ray.executor import RayExecutor  # imports ray: after the session's token

            factory = run.evaluator_factory
            actors_of = RayExecutor(factory, actors=actors, deadline_s=run.spec.deadline_s, clock=clock)
            with contextlib.closing(actors_of):
                yield actors_of
        return
    # One thread, as in an actor: sums in another order could tip a close decision, and a resumed run must not differ.
    with threadpool_limits(limits=1), contextlib.closing(InProcessExecutor(run.evaluator_factory(), clock)) as executor:
        yield executor
