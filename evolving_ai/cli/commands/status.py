"""`evolving-ai status`: what runs, and how much memory it takes."""

from typing import Any

import typer

from evolving_ai.cli.options import HomeOption, JsonOption, new_app
from evolving_ai.cli.output import note, print_json, print_table, print_text
from evolving_ai.home import resolve_home

__all__ = ["app"]

app = new_app("Show what runs.")

_MIB = 2**20


@app.command()
def status(home: HomeOption = None, json: JsonOption = False) -> None:
    """Show the platform: its address, its deployments and replicas, the memory of its processes; 1 if none runs."""
    from evolving_ai._common.clock import SystemClock
    from evolving_ai.serving.platform_status import platform_status

    found = platform_status(resolve_home(home), SystemClock())
    if json:
        print_json(found)
    elif found["state"] == "stopped":
        note("not running: `evolving-ai up` starts it")
    else:
        _print(found)
    if found["state"] == "stopped":
        raise typer.Exit(1)


def _print(found: dict[str, Any]) -> None:
    print_text(f"{found['state']} at {found['url']} (profile {found['profile']}, process {found['pid']})")
    print_text(f"up {found['uptime_s']:.0f} s, version {found['version']}, dashboard {found['dashboard_url'] or 'off'}")
    print_table(
        ("deployment", "status", "replica", "state", "process"),
        [
            (deployment["name"], deployment["status"], replica["id"], replica["state"], replica["pid"])
            for application in found["applications"]
            for deployment in application["deployments"]
            for replica in deployment["replicas"]
        ],
    )
    for application in found["applications"]:
        if application["message"]:
            note(f"{application['name']}: {application['message'].strip().splitlines()[-1]}")
    memory = found["memory"]
    rows = [(kind, each["processes"], round(each["bytes"] / _MIB)) for kind, each in memory["kinds"].items()]
    print_table(("kind of process", "processes", "MiB"), [*rows, ("all", memory["processes"], memory["bytes"] // _MIB)])
