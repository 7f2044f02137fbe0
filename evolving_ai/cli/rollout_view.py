"""A rollout for people: where it stands, what its gates said, and what its guard rails know."""

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from evolving_ai.cli.output import print_table, print_text
from evolving_ai.domain.rollout import RolloutState

__all__ = ["describe", "is_over", "print_rollout", "print_rollouts", "standing"]

_SHORT = 12
_SHORT_UNITS = MappingProxyType({"USD per 1,000 requests": "$/1k"})


def is_over(view: dict[str, Any]) -> bool:
    """Whether a rollout has ended, well or not."""
    return view["state"] in [state for state in RolloutState if state.is_over]


def standing(view: dict[str, Any]) -> str:
    """The state in words: `canary, 10 % of the requests`."""
    state = str(view["state"]).replace("_", " ")
    return state if view["share"] is None or is_over(view) else f"{state}, {_percent(view['share'])} of the requests"


def describe(view: dict[str, Any]) -> str:
    """What the evidence of a canary says, in one line: how much is proven, what lacks most, how near harm is."""
    rails = view["rails"]
    unproven = [rail for rail in rails if not rail["is_proven"]]
    parts = [f"{len(rails) - len(unproven)} of {len(rails)} guard rails proven"]
    if unproven:
        last = min(unproven, key=lambda rail: rail["proof"] / rail["proof_threshold"])
        parts.append(f"{last['rail']} {_part_of(last, 'proof')}")
    if rails:
        worst = max(rails, key=lambda rail: rail["harm"] / rail["harm_threshold"])
        parts.append(f"against it {worst['rail']} {_part_of(worst, 'harm')}")
    return ", ".join(parts)


def print_rollouts(views: Sequence[dict[str, Any]]) -> None:
    """One line for each rollout."""
    print_table(
        ("rollout", "state", "candidate", "started", "ended", "canary", "control", "why"),
        [
            (
                view["id"],
                standing(view),
                view["candidate"]["dna_hash"][:_SHORT],
                _second(view["started"]),
                _second(view["ended"]),
                view["requests"]["canary"],
                view["requests"]["control"],
                view["reason"],
            )
            for view in views
        ],
    )


def print_rollout(view: dict[str, Any]) -> None:
    """Everything about a rollout but the course of its evidence."""
    _print_head(view)
    if view["rails"]:
        print_text("")
        _print_rails(view["rails"])
    if view["gates"]:
        print_text("")
        print_table(
            ("gate", "verdict", "detail"),
            [(gate["name"], "passed" if gate["passed"] else "vetoed", gate["detail"]) for gate in view["gates"]],
        )
    if view["transitions"]:
        print_text("")
        print_table(
            ("time", "state", "share", "by", "reason"),
            [
                (_second(one["at"]), one["state"], _percent(one["share"]), one["actor"], one["reason"])
                for one in view["transitions"]
            ],
        )


def _print_head(view: dict[str, Any]) -> None:
    requests, exchange = view["requests"], view["exchange"]
    print_text(f"rollout    {view['id']}: {standing(view)}{': ' * bool(view['reason'])}{view['reason']}")
    print_text(f"candidate  {_version(view['candidate'])}")
    print_text(f"incumbent  {_version(view['incumbent'])}")
    print_text(f"started    {_second(view['started'])} by {view['actor']}")
    if view["ended"] is not None:
        print_text(f"ended      {_second(view['ended'])}")
    print_text(f"requests   {requests['canary']:,} canary, {requests['control']:,} control")
    if exchange is not None:
        print_text(f"exchange   every replica was told {exchange['seconds']:.3f} s after the verdict")


def _print_rails(rails: Sequence[dict[str, Any]]) -> None:
    """Narrow enough for a terminal; what reached its threshold has decided."""
    print_table(
        ("rail", "canary (n)", "control (n)", "worse by", "margin", "unit", "against", "for"),
        [
            (
                rail["rail"],
                _arm(rail["canary"]),
                _arm(rail["control"]),
                _figure(rail["difference"]),
                _figure(rail["margin"]),
                _SHORT_UNITS.get(rail["unit"], rail["unit"]),
                _part_of(rail, "harm"),
                _part_of(rail, "proof"),
            )
            for rail in rails
        ],
    )


def _arm(arm: dict[str, Any]) -> str:
    """The mean of an arm, and of how many requests."""
    return "" if arm["mean"] is None else f"{arm['mean']:.4g} ({arm['count']})"


def _version(version: dict[str, Any]) -> str:
    return f"dna {version['dna_hash'][:_SHORT]} (commit {version['commit'][:_SHORT]})"


def _part_of(rail: dict[str, Any], kind: str) -> str:
    """An e-value and what it has to reach: `12.5/80`."""
    return f"{rail[kind]:.3g}/{rail[f'{kind}_threshold']:.3g}"


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.4g} %"


def _figure(value: float | None) -> float | None:
    """Four digits are what a running mean is worth."""
    return None if value is None else float(f"{value:.4g}")


def _second(time: str | None) -> str | None:
    """ISO 8601 to the second: `2026-01-31 12:00:00`."""
    return None if time is None else time[:19].replace("T", " ")
