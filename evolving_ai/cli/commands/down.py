"""`evolving-ai down`: end the platform of a home, and nothing else."""

from evolving_ai.cli.options import HomeOption, JsonOption, new_app
from evolving_ai.cli.output import note, print_json
from evolving_ai.home import resolve_home

__all__ = ["app"]

app = new_app("Stop the platform.")


@app.command()
def down(home: HomeOption = None, json: JsonOption = False) -> None:
    """Stop the platform that `up` started; done already when nothing runs."""
    from evolving_ai._common.clock import SystemClock
    from evolving_ai.serving.ending import end_platform

    result = end_platform(resolve_home(home), SystemClock(), note=note)
    if json:
        print_json({"result": result.value})
    else:
        note(result.value)
