"""`evolving-ai dashboard`: where the dashboards are."""

from evolving_ai.cli.options import HomeOption, JsonOption, new_app
from evolving_ai.cli.output import note, print_json, print_text
from evolving_ai.errors import PlatformError
from evolving_ai.home import resolve_home

__all__ = ["app"]

app = new_app("Print the URL of the dashboard.")


@app.command()
def dashboard(home: HomeOption = None, json: JsonOption = False) -> None:
    """Print the URL of Ray's dashboard, and where the token lies that it asks for."""
    from evolving_ai.wiring.platform_state import read_state, supervisor_of

    folder = resolve_home(home)
    state = read_state(folder)
    if state is None or supervisor_of(folder) is None:
        raise PlatformError(f"no platform of {folder} runs: `evolving-ai up` starts one")
    if state.dashboard_url is None:
        raise PlatformError("the dashboard is off: set dashboard: true in config.yaml and start again")
    token = folder / "ray.token"
    if json:
        print_json({"url": state.dashboard_url, "token_path": str(token)})
        return
    print_text(state.dashboard_url)
    note(f"it asks for the token in {token}")
