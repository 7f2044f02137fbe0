"""What every command has in common: how its `typer.Typer` is made, and the options `--home` and `--json`."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

__all__ = ["HomeOption", "JsonOption", "new_app"]

HomeOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--home", help="State directory [default: $EVOLVING_AI_HOME, else ~/.evolving-ai].", show_default=False
    ),
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


def new_app(about: str) -> typer.Typer:
    """A command's app: help in plain text (drawing it would cost a third of a second), errors left to `main`."""
    return typer.Typer(help=about, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
