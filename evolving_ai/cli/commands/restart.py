"""`evolving-ai restart`: replace the replicas of the gateway, or another application, without losing a request."""

import threading
from typing import Annotated, Any

import typer

from evolving_ai._common.clock import SystemClock
from evolving_ai.cli.options import HomeOption, JsonOption, new_app
from evolving_ai.cli.output import note, print_json, print_text
from evolving_ai.errors import PlatformError, UsageError
from evolving_ai.home import resolve_home

__all__ = ["app"]

app = new_app("Replace replicas one after the other; a new one answers before an old one stops.")

_APPLICATIONS = ("gateway", "control", "decision")
_WITHIN_S = 180.0
_LOOK_EVERY_S = 0.5


@app.command()
def restart(
    application: Annotated[str, typer.Argument(metavar="NAME", help="gateway, control or decision.")] = "gateway",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Replace every replica of an application; returns when all are new."""
    if application not in _APPLICATIONS:
        raise UsageError(f"there is no application {application!r}: expected {', '.join(_APPLICATIONS)}")
    from evolving_ai.serving.supervisor_desk import ask_supervisor, redeploy
    from evolving_ai.wiring.platform_state import read_state

    state = read_state(resolve_home(home))
    if state is None:
        raise PlatformError("the platform is not running: start it with `evolving-ai up`")
    before = _processes(ask_supervisor(state, {"ask": "status"}), application)
    redeploy(state, application)
    note(f"replacing {len(before)} replicas of {application}")
    clock, pause = SystemClock(), threading.Event()
    until_s = clock.monotonic_s() + _WITHIN_S
    now = before
    while before & now or len(now) < len(before):
        if clock.monotonic_s() > until_s:
            raise PlatformError(f"{application} was not replaced within {_WITHIN_S:.0f} s: see `evolving-ai status`")
        pause.wait(_LOOK_EVERY_S)
        now = _processes(ask_supervisor(state, {"ask": "status"}), application)
    if json:
        print_json({"application": application, "before": sorted(before), "now": sorted(now)})
    else:
        print_text(f"{application} runs on {len(now)} new replicas")


def _processes(applications: Any, name: str) -> set[int]:
    """The processes of an application's replicas, those that are still stopping included."""
    return {
        int(replica["pid"])
        for view in applications
        if view["name"] == name
        for deployment in view["deployments"]
        for replica in deployment["replicas"]
        if replica["pid"]
    }
