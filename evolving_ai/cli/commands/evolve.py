"""`evolving-ai evolve`: run a campaign."""

from pathlib import Path
from typing import Annotated, Any

import typer

from evolving_ai.cli.campaign_run import ProgressView, print_outcome, terminated_like_interrupted
from evolving_ai.cli.options import HomeOption, JsonOption, new_app
from evolving_ai.home import open_home
from evolving_ai.settings import load_settings
from evolving_ai.wiring.campaign_file import RoutingCampaignFile, read_campaign_file
from evolving_ai.wiring.campaign_runs import start_campaign

__all__ = ["app"]

app = new_app("Run a campaign: search for DNA that does better.")


@app.command()
def evolve(
    campaign: Annotated[
        Path, typer.Argument(metavar="FILE|FOLDER", help="Campaign file, or folder with campaign.yaml.")
    ],
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DATA.parquet", help="Table of routing outcomes, instead of the file's."),
    ] = None,
    context: Annotated[
        str | None, typer.Option("--context", metavar="COL,..", help="Extra columns that a decision may read.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, max=2**31 - 1, help="Instead of the file's.")] = None,
    evals: Annotated[int | None, typer.Option("--evals", min=1, help="Budget of evaluations.")] = None,
    campaign_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="What the campaign is called [default: a new id].")
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Run a campaign; commit its winner on the branch `campaign/ID`, print how it fares on the test split."""
    columns = None if context is None else tuple(c.strip() for c in context.split(",") if c.strip())
    state = open_home(home)
    asked = _overridden(read_campaign_file(campaign), state, data=data, context=columns, seed=seed, evals=evals)
    with terminated_like_interrupted(), ProgressView() as view:
        finished = start_campaign(state, asked, campaign_id=campaign_id, on_start=view.start, on_progress=view.show)
    print_outcome(finished, json=json)


def _overridden(campaign: RoutingCampaignFile, home: Path, *, data: Path | None, **options: Any) -> RoutingCampaignFile:
    """The file's values, unless the command line or (where the file is silent) the home's settings say otherwise."""
    settings = load_settings(home)
    changes = {name: value for name, value in options.items() if value is not None}
    table = data or campaign.data or (None if settings.data is None else home / settings.data.expanduser())
    changes["data"] = None if table is None else table.absolute()
    changes["workers"] = campaign.workers or settings.workers
    return campaign.model_copy(update=changes)
