"""`evolving-ai campaign`: look at campaigns, stop them, and go on with them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from evolving_ai.cli.options import HomeOption, JsonOption, new_app
from evolving_ai.cli.output import note, print_json, print_table, print_text
from evolving_ai.errors import EvolvingAIError
from evolving_ai.evolution.folder import CampaignFolder, campaign_folders
from evolving_ai.evolution.result import CampaignResult
from evolving_ai.home import resolve_home
from evolving_ai.wiring.campaigns import campaigns_path, open_ledger, runner_of, standing

__all__ = ["app"]

app = new_app("List, inspect, resume and stop campaigns.")

_SHORT = 12

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The campaign's id, as `campaign list` shows it.")]


@app.command("list")
def list_campaigns(home: HomeOption = None, json: JsonOption = False) -> None:
    """List every campaign of this home; a damaged one is listed with what is wrong with it."""
    rows = [_summary(folder) for folder in campaign_folders(campaigns_path(resolve_home(home)))]
    if json:
        print_json(rows)
        return
    if not rows:
        note("no campaign so far: `evolving-ai evolve` starts one")
        return
    print_table(
        ("campaign", "state", "evaluations", "of", "front", "updated", "best or problem"),
        [
            (
                row["id"],
                row["state"],
                row["evaluations"],
                row["max_evaluations"],
                row["front_size"],
                (row["updated"] or "")[:19],
                row["problem"] or _best(row["best"]),
            )
            for row in rows
        ],
    )


@app.command()
def show(campaign: IdArgument, home: HomeOption = None, json: JsonOption = False) -> None:
    """Show one campaign: what was asked, where it stands, its front."""
    from evolving_ai.evolution.replay import read_campaign

    folder = _folder(home, campaign)
    with open_ledger(folder) as ledger:
        result = read_campaign(ledger)
    if json:
        print_json(_document(result))
        return
    _print_result(result)
    if (folder.report_path / "report.md").is_file():
        print_text(f"\nreport     {folder.report_path / 'report.md'}")


@app.command()
def stop(campaign: IdArgument, home: HomeOption = None, json: JsonOption = False) -> None:
    """Ask the process that runs a campaign to stop it; it can be resumed."""
    folder = _folder(home, campaign)
    state = standing(folder).state
    runner = runner_of(folder)
    if runner is not None:
        folder.request_stop()
    if json:
        print_json({"id": folder.id, "state": state, "stop_requested": runner is not None})
    elif runner is not None:
        note(
            f"{runner} was asked to stop campaign {folder.id}; `evolving-ai campaign resume {folder.id}` goes on later"
        )
    else:
        note(f"campaign {folder.id} does not run: it is {state}")


@app.command()
def resume(
    campaign: IdArgument,
    evals: Annotated[int | None, typer.Option("--evals", min=1, help="Another budget of evaluations, in all.")] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Go on with a campaign that was stopped, interrupted or killed, or whose budget is raised."""
    from evolving_ai.cli.campaign_run import ProgressView, print_outcome, terminated_like_interrupted
    from evolving_ai.wiring.campaign_runs import resume_campaign

    with terminated_like_interrupted(), ProgressView() as view:
        finished = resume_campaign(
            resolve_home(home), campaign, max_evaluations=evals, on_start=view.start, on_progress=view.show
        )
    print_outcome(finished, json=json)


def _folder(home: Path | None, campaign: str) -> CampaignFolder:
    folder = CampaignFolder(campaigns_path(resolve_home(home)), campaign)
    folder.require()
    return folder


def _summary(folder: CampaignFolder) -> dict[str, Any]:
    empty = dict.fromkeys(("evaluations", "max_evaluations", "front_size", "updated"))
    row: dict[str, Any] = {"id": folder.id, "state": "unreadable", **empty, "best": {}, "problem": None}
    try:
        folder.require()
        now = standing(folder)
    except EvolvingAIError as exc:
        return {**row, "problem": str(exc)}
    known = {name: now.detail.get(name) for name in empty}
    return {**row, **known, "state": now.state, "best": now.detail.get("best", {})}


def _best(best: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.6g}" for name, value in best.items())


def _document(result: CampaignResult) -> dict[str, Any]:
    spec = result.spec
    return {
        "id": spec.id,
        "state": result.state,
        "reason": result.reason,
        "seed": spec.seed,
        "evaluations": result.evaluations,
        "max_evaluations": spec.max_evaluations,
        "window": spec.window,
        "elapsed_s": result.elapsed_s,
        "objectives": [{"name": o.name, "direction": o.direction, "unit": o.unit} for o in spec.objectives],
        "archive_digest": result.archive.digest(),
        "front": [_member(result, index) for index in [member.index for member in result.archive.members]],
        "about": dict(spec.about),
    }


def _member(result: CampaignResult, index: int) -> dict[str, Any]:
    one = result.scored[index]
    scores = {} if one.evaluation is None else one.evaluation.scores
    return {
        "candidate": index,
        "dna": one.candidate.genome.hash,
        "parents": list(one.candidate.parents),
        "operator": one.candidate.operator,
        "scores": {name: score.value for name, score in scores.items()},
        "standard_errors": {name: score.standard_error for name, score in scores.items()},
        "genes": dict(one.candidate.genome.genes),
    }


def _print_result(result: CampaignResult) -> None:
    spec = result.spec
    goals = ", ".join(f"{objective.direction} {objective.name}" for objective in spec.objectives)
    print_text(f"campaign   {spec.id}")
    print_text(f"state      {result.state}{f' ({result.reason})' if result.reason else ''}")
    print_text(f"asked      {goals}")
    print_text(f"done       {result.evaluations} of {spec.max_evaluations} evaluations in {result.elapsed_s:.1f} s")
    print_text(f"seed       {spec.seed}, window {spec.window}")
    print_text(f"archive    {result.archive.digest()[:_SHORT]}, {len(result.front)} on the front\n")
    print_table(
        ("candidate", "dna", *(objective.name for objective in spec.objectives), "operator"),
        [
            (
                one.candidate.index,
                one.candidate.genome.hash[:_SHORT],
                *(one.evaluation.scores[o.name].value for o in spec.objectives if one.evaluation is not None),
                one.candidate.operator,
            )
            for one in result.front
        ],
    )
