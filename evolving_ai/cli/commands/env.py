"""`evolving-ai env`: what clients need to find the platform, as `export` lines for a shell."""

import shlex
from pathlib import Path

from evolving_ai.cli.options import HomeOption, JsonOption, new_app
from evolving_ai.cli.output import print_json, print_text
from evolving_ai.errors import PlatformError
from evolving_ai.home import resolve_home

__all__ = ["app"]

app = new_app("Print the environment that clients need.")


@app.command()
def env(home: HomeOption = None, json: JsonOption = False) -> None:
    """Print exports for the OpenAI SDK, our SDK and `ray job submit`: `eval "$(evolving-ai env)"`."""
    variables = _variables(resolve_home(home))
    if json:
        print_json(variables)
        return
    for name, value in variables.items():
        print_text(f"export {name}={shlex.quote(value)}")


def _variables(home: Path) -> dict[str, str]:
    from evolving_ai.wiring.platform_state import read_state, supervisor_of

    state = read_state(home)
    if state is None or supervisor_of(home) is None:
        raise PlatformError(f"no platform of {home} runs: `evolving-ai up` starts one")
    variables = {"OPENAI_BASE_URL": f"{state.url}/v1", "EVOLVING_AI_BASE_URL": state.url}
    token = home / "admin.token"
    if token.exists():
        key = token.read_text(encoding="utf-8").strip()
        variables |= {"OPENAI_API_KEY": key, "EVOLVING_AI_API_KEY": key}
    variables["EVOLVING_AI_HOME"] = str(home)
    if state.dashboard_url is not None:
        variables["RAY_ADDRESS"] = state.dashboard_url
    return {**variables, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(home / "ray.token")}
