"""`evolving-ai doctor`: is this machine fit, is the home whole, and does a platform do what it promises?"""

from typing import TYPE_CHECKING, Annotated

import typer

from evolving_ai.cli.options import HomeOption, JsonOption, new_app
from evolving_ai.cli.output import note, print_json, print_table
from evolving_ai.errors import UsageError
from evolving_ai.home import resolve_home

if TYPE_CHECKING:
    from evolving_ai.doctor.examination import Examination
    from evolving_ai.doctor.finding import Finding

__all__ = ["app"]

app = new_app("Examine this machine, its home, and a platform.")


@app.command()
def doctor(
    chaos: Annotated[
        bool, typer.Option("--chaos", help="Also kill processes of the platform, and let providers fail at random.")
    ] = False,
    url: Annotated[
        str | None,
        typer.Option("--url", help="Examine this platform, harmlessly, with the key in $EVOLVING_AI_API_KEY."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Draws the random faults of --chaos.")] = 0,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Check machine and home, then try a platform: one that is started for it and ended again, or the one of --url.

    The exit code is 1 when anything failed. Warnings do not count.
    """
    if chaos and url is not None:
        raise UsageError("--chaos kills processes, so it is for a platform of the doctor's own: leave out --url")
    from evolving_ai._common.clock import SystemClock
    from evolving_ai.cli.connection import find_connection
    from evolving_ai.doctor.examination import ForeignPlatform, examine

    folder = resolve_home(home)
    foreign = None
    if url is not None:
        connection = find_connection(folder, url)
        foreign = ForeignPlatform(connection.url, connection.api_key)
    chaos_seed = seed if chaos else None
    found = examine(folder, SystemClock(), foreign=foreign, chaos_seed=chaos_seed, note=note, told=_tell)
    if json:
        print_json(found.to_json())
    else:
        _print(found)
    if found.has_failed:
        raise typer.Exit(1)


def _tell(finding: "Finding") -> None:
    note(f"{finding.verdict.value:8}{finding.name}: {finding.detail}")


def _print(found: "Examination") -> None:
    rows = [
        (
            each.name,
            each.verdict.value,
            f"{each.seconds:.1f}",
            f"{each.detail}; {each.advice}" if each.advice else each.detail,
        )
        for each in (*found.checks, *found.scenarios)
    ]
    print_table(("what", "verdict", "seconds", "detail"), rows)
