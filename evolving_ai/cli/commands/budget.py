"""`evolving-ai budget`: set, list and remove budgets of the running platform."""

from typing import Annotated
from urllib.parse import quote

import typer

from evolving_ai.cli.options import HomeOption, JsonOption, new_app
from evolving_ai.cli.output import print_json, print_table, print_text
from evolving_ai.cli.platform_client import PlatformClient
from evolving_ai.home import resolve_home

__all__ = ["app"]

app = new_app("Limit what keys and tenants may spend. The platform must be running.")

_BUDGETS = "/api/v1/budgets"

ScopeArgument = Annotated[str, typer.Argument(metavar="SCOPE", help="key:ID or tenant:NAME")]


@app.command("set")
def set_budget(
    scope: ScopeArgument,
    cap_usd: Annotated[str, typer.Argument(metavar="USD", help="Dollars for each window, such as 12.50.")],
    window: Annotated[
        str, typer.Option("--window", help="total, day, month (UTC), or seconds such as 3600s.")
    ] = "month",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Limit a key or a tenant, or change its limit."""
    body = {"scope": scope, "cap_usd": cap_usd, "window": window}
    answer = PlatformClient(resolve_home(home)).request("POST", _BUDGETS, body)
    if json:
        print_json(answer)
        return
    print_text(f"{scope} may spend {answer['cap_usd']} USD ({answer['window']}); {answer['remaining_usd']} remain")


@app.command("list")
def list_budgets(home: HomeOption = None, json: JsonOption = False) -> None:
    """Show every budget in its current window, in dollars."""
    answer = PlatformClient(resolve_home(home)).request("GET", _BUDGETS)
    if json:
        print_json(answer)
        return
    columns = ("scope", "window", "cap", "settled", "leased", "forfeited", "remaining")
    fields = ("scope", "window", "cap_usd", "settled_usd", "leased_usd", "forfeited_usd", "remaining_usd")
    print_table(columns, [[budget[field] for field in fields] for budget in answer["budgets"]])


@app.command()
def remove(scope: ScopeArgument, home: HomeOption = None, json: JsonOption = False) -> None:
    """Limit a key or a tenant no longer."""
    answer = PlatformClient(resolve_home(home)).request("DELETE", f"{_BUDGETS}/{quote(scope, safe='')}")
    if json:
        print_json(answer)
        return
    print_text(f"{scope} has no budget any more" if answer["was_there"] else f"{scope} had no budget")
