"""`evolving-ai rollout`: let DNA go live by gates and a canary. A REF is a branch, a hash prefix, or one with `~n`."""

import re
import threading
from pathlib import Path
from typing import Annotated, Any

import typer

from evolving_ai.cli.options import HomeOption, JsonOption, new_app
from evolving_ai.cli.output import note, print_json, print_text
from evolving_ai.cli.platform_client import PlatformClient
from evolving_ai.cli.rollout_view import is_over, print_rollout, print_rollouts, standing
from evolving_ai.domain.rollout import RolloutState
from evolving_ai.errors import RequestError, UsageError
from evolving_ai.home import resolve_home

__all__ = ["app"]

app = new_app(
    "Let DNA go live by gates and a canary, and take it back when it does harm. The platform must be running."
)

_ROLLOUTS = "/api/v1/rollouts"
_ID = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

IdArgument = Annotated[
    str | None, typer.Argument(metavar="ID", help="The rollout's id [default: the active one].", show_default=False)
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it stands in the audit log.")]
FollowOption = Annotated[
    bool, typer.Option("--follow", help="Show what happens until it is over; exit 1 unless it was promoted.")
]


@app.command()
def start(
    ref: Annotated[str, typer.Argument(metavar="REF", help="Branch, hash prefix, or one of them with ~n.")],
    plan: Annotated[Path | None, typer.Option("--plan", metavar="FILE", help="A plan file (YAML).")] = None,
    share: Annotated[
        str | None, typer.Option("--share", metavar="SHARES", help="Of the requests, stage by stage: 0.1,0.5.")
    ] = None,
    quality_points: Annotated[
        float | None, typer.Option("--quality-points", help="How many points of 100 worse it may be [default: 3].")
    ] = None,
    alpha: Annotated[
        float | None, typer.Option("--alpha", help="How probable a wrong verdict may be [default: 0.05].")
    ] = None,
    approve_by_hand: Annotated[
        bool, typer.Option("--approve-by-hand", help="Wait for `rollout approve` after the gates.")
    ] = False,
    reason: ReasonOption = "",
    follow: FollowOption = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Ask the gates about REF; what they let pass gets a growing share of the requests, and goes live or goes back."""
    from evolving_ai.cli.rollout_plan import asked_plan

    asked = asked_plan(plan, share=share, quality_points=quality_points, alpha=alpha, needs_approval=approve_by_hand)
    client = PlatformClient(resolve_home(home))
    view = client.request("POST", _ROLLOUTS, {"ref": ref, "plan": asked, "reason": reason})
    if follow:
        _follow(client, view["id"], json)
    elif json:
        print_json(view)
    else:
        print_text(f"{view['id']} of dna {view['candidate']['dna_hash'][:12]}: {standing(view)}")
        note("`evolving-ai rollout status --follow` shows how it goes on")


@app.command()
def status(
    rollout: IdArgument = None, follow: FollowOption = False, home: HomeOption = None, json: JsonOption = False
) -> None:
    """Show a rollout: the active one, else the last."""
    client = PlatformClient(resolve_home(home))
    chosen = _checked(rollout) if rollout is not None else _latest(client)
    if follow:
        _follow(client, chosen, json)
    else:
        _print(client.request("GET", f"{_ROLLOUTS}/{chosen}"), json)


@app.command("list")
def list_rollouts(home: HomeOption = None, json: JsonOption = False) -> None:
    """List all rollouts, the newest first."""
    answer = PlatformClient(resolve_home(home)).request("GET", _ROLLOUTS)
    if json:
        print_json(answer)
    elif answer["rollouts"]:
        print_rollouts(answer["rollouts"])
    else:
        note("no rollout so far: `evolving-ai rollout start REF` begins one")


@app.command()
def approve(rollout: IdArgument = None, home: HomeOption = None, json: JsonOption = False) -> None:
    """Let a rollout that awaits approval go on to its canary."""
    client = PlatformClient(resolve_home(home))
    view = client.request("POST", f"{_ROLLOUTS}/{_active(client, rollout)}/approve", {})
    _print_done(view, json)


@app.command()
def stop(
    rollout: IdArgument = None, reason: ReasonOption = "", home: HomeOption = None, json: JsonOption = False
) -> None:
    """End a rollout; the DNA that is live stays live."""
    client = PlatformClient(resolve_home(home))
    view = client.request("POST", f"{_ROLLOUTS}/{_active(client, rollout)}/stop", {"reason": reason})
    _print_done(view, json)


def _follow(client: PlatformClient, rollout_id: str, json: bool) -> None:
    from evolving_ai._common.clock import SystemClock
    from evolving_ai.cli.campaign_run import terminated_like_interrupted
    from evolving_ai.cli.rollout_follow import FollowView, follow

    clock, pause = SystemClock(), threading.Event()
    with terminated_like_interrupted(), FollowView(rollout_id, clock) as progress:
        view = follow(
            lambda: client.request("GET", f"{_ROLLOUTS}/{rollout_id}"), progress.show, clock=clock, pause=pause.wait
        )
    _print(view, json)
    if view["state"] != RolloutState.PROMOTED:
        raise typer.Exit(1)


def _latest(client: PlatformClient) -> str:
    views = client.request("GET", _ROLLOUTS)["rollouts"]
    if not views:
        raise RequestError("not_found", "there is no rollout so far: `evolving-ai rollout start REF` begins one")
    return str(next((view for view in views if not is_over(view)), views[0])["id"])


def _active(client: PlatformClient, rollout: str | None) -> str:
    if rollout is not None:
        return _checked(rollout)
    active = [view["id"] for view in client.request("GET", _ROLLOUTS)["rollouts"] if not is_over(view)]
    if not active:
        raise RequestError("conflict", "no rollout is active: `evolving-ai rollout list` shows those that were")
    if len(active) > 1:
        raise UsageError(f"several rollouts are active: name one of {', '.join(active)}")
    return str(active[0])


def _checked(rollout: str) -> str:
    """An id as part of a path."""
    if not _ID.fullmatch(rollout):
        raise UsageError(f"{rollout!r} is not the id of a rollout: `evolving-ai rollout list` shows them")
    return rollout


def _print(view: dict[str, Any], json: bool) -> None:
    if json:
        print_json(view)
    else:
        print_rollout(view)


def _print_done(view: dict[str, Any], json: bool) -> None:
    if json:
        print_json(view)
    else:
        print_text(f"{view['id']} is now {standing(view)}")
