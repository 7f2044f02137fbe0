"""`evolving-ai cost`: what was spent, by day, tenant, key and target."""

from typing import Annotated

import typer

from evolving_ai.cli.options import HomeOption, JsonOption, new_app
from evolving_ai.cli.output import print_json, print_table, print_text
from evolving_ai.cli.platform_client import PlatformClient
from evolving_ai.home import resolve_home

__all__ = ["app"]

app = new_app("Show what was spent. The platform must be running.")

_COLUMNS = ("day", "tenant", "key_id", "target")


@app.command()
def cost(
    since: Annotated[str | None, typer.Option("--since", metavar="DATE", help="First day (UTC): 2026-01-31.")] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="DATE", help="Last day (UTC).")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Only this tenant's.")] = None,
    key: Annotated[str | None, typer.Option("--key", metavar="ID", help="Only this key's.")] = None,
    by: Annotated[str, typer.Option("--by", help="Columns: day, tenant, key_id, target.")] = "day,target",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show what was spent, in dollars; days are UTC."""
    asked = {"since": since, "until": until, "tenant": tenant, "key_id": key, "by": by}
    params = {name: value for name, value in asked.items() if value is not None}
    answer = PlatformClient(resolve_home(home)).request("GET", "/api/v1/budgets/cost", params=params)
    if json:
        print_json(answer)
        return
    shown = [column for column in _COLUMNS if column in {part.strip() for part in by.split(",")}]
    rows = [[*(line[column] for column in shown), line["attempts"], line["cost_usd"]] for line in answer["lines"]]
    print_table((*shown, "attempts", "USD"), rows)
    print_text(f"total {answer['total_usd']} USD")
