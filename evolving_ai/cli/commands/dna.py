"""`evolving-ai dna`: inspect and change DNA."""

from evolving_ai.cli.options import HomeOption, JsonOption, new_app

__all__ = ["app"]

app = new_app("Inspect and change DNA.")


@app.command()
def genes(home: HomeOption = None, json: JsonOption = False) -> None:
    """List the genes."""


@app.command()
def log(home: HomeOption = None, json: JsonOption = False) -> None:
    """List the commits."""
