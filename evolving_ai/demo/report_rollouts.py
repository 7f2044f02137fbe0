"""The part of the report about rollouts: what the gates and the guard rails said, and what was done."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from evolving_ai.demo.plots_evidence import differences_figure, evidence_figure
from evolving_ai.demo.record import DemoRecord, OutageFigures, RolloutFigures
from evolving_ai.demo.report_markup import Child, Markup, clipped, folded, join, table, tag
from evolving_ai.demo.report_numbers import (
    ABSENT,
    brief,
    count,
    duration,
    e_value,
    money,
    percent,
    points,
    signed,
    signed_money,
)
from evolving_ai.demo.report_view import GateView, RailView, RolloutView, TransitionView
from evolving_ai.rollout.evidence import RailName

__all__ = ["gates_table", "outage_part", "rollout_part"]

_LONGEST, _SEEN = 1500, 160
_MOST_FIGURES = 60
_MOST_TRANSITIONS = 40
_GATES: Mapping[str, str] = {
    "genome": "every gene is legal, and it is other DNA than the live one",
    "protected": "it touches nothing that evolution must not touch",
    "snapshot": "it can be fitted, and decides over the whole pool",
    "hold_out": "quality on questions that it was not fitted on",
    "cost_limit": "cost on the same questions",
    "latency_limit": "time to decide, and latency of what it chooses",
}
_RAILS: Mapping[str, str] = {
    "quality": "mean score",
    "cost": "cost of 1,000 requests",
    "latency": "slow requests",
    "errors": "failed requests",
}


def rollout_part(name: str, about: str, figures: RolloutFigures) -> Markup:
    """All about one rollout. `name` is unique in the page."""
    view = RolloutView.read(figures.view)
    told = figures.exchange_s
    facts: dict[str, Child] = {
        "ended": _verdict(view.state.replace("_", " "), is_good=view.state == "promoted"),
        "took": duration(figures.seconds),
        "requests of both arms": count(view.requests),
        "of them canary": count(view.canary_requests),
        "traffic meanwhile": f"{count(figures.requests_per_s)} requests per second",
        "failed requests": count(figures.failed),
    }
    if told is not None:
        facts["from the breach to the last replica"] = duration(told)
    return join(
        [
            tag("p", about),
            _facts(facts),
            tag("p", tag("strong", "Reason: "), clipped(view.reason, _LONGEST), class_="reason")
            if view.reason
            else None,
            evidence_figure(name, view),
            differences_figure(name, view),
            _rails(view.rails) if view.rails else None,
            _transitions(view.transitions) if view.transitions else None,
        ]
    )


def gates_table(record: DemoRecord) -> Markup | None:
    """What each gate said of both candidates. None when no gate was asked."""
    asked = {
        name: {gate.name: gate for gate in RolloutView.read(figures.view).gates}
        for name, figures in (("evolved DNA", record.good), ("harmful DNA", record.bad))
        if figures is not None
    }
    asked = {name: gates for name, gates in asked.items() if gates}
    names = list(dict.fromkeys(gate for gates in asked.values() for gate in gates))
    if not names:
        return None
    rows = [
        (
            join([tag("span", name.replace("_", " ")), tag("small", _GATES[name]) if name in _GATES else None]),
            *(_gate(gates.get(name)) for gates in asked.values()),
        )
        for name in names
    ]
    return table("What the gates said before any request saw the candidate.", ("gate", *asked), rows)


def outage_part(outage: OutageFigures) -> Markup:
    """The outage of a provider."""
    facts = {
        "model": clipped(outage.model, 80),
        "away for": duration(outage.seconds),
        "requests meanwhile": count(outage.requests),
        "answered by another target": count(outage.failed_over),
        "until every breaker had opened": duration(outage.opened_after_s),
        "from its return to its next answer": duration(outage.returned_after_s),
        "failed requests": count(outage.failed),
    }
    said = (
        "The provider of the model that the live DNA uses most answered nothing but errors for a while. Attempts that "
        "fail go to the next target of the same decision; after a few of them the breaker leaves the provider alone, "
        "and tries it again from time to time."
    )
    return join([tag("p", said), _facts(facts)])


def _facts(facts: Mapping[str, Child]) -> Markup:
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in facts.items()), class_="facts")


def _verdict(words: str, *, is_good: bool) -> Markup:
    sign = "\N{CHECK MARK}" if is_good else "\N{MULTIPLICATION X}"
    return tag("span", f"{sign} {words}", class_="verdict good" if is_good else "verdict bad")


def _gate(gate: GateView | None) -> Markup | None:
    if gate is None:
        return None
    verdict = _verdict("passed" if gate.passed else "vetoed", is_good=gate.passed)
    shown = list(gate.figures.items())[:_MOST_FIGURES]
    figures = tag(
        "ul", *(tag("li", f"{clipped(name, 80)}: {_figure(value)}") for name, value in shown), class_="plainly"
    )
    whole = tag("p", clipped(gate.detail, _LONGEST), class_="quiet") if len(gate.detail) > _SEEN else None
    more = folded("more", whole, figures) if shown or whole is not None else None
    return join([verdict, tag("p", clipped(gate.detail, _SEEN)), more])


def _figure(value: Any) -> str:
    return brief(value) if isinstance(value, int | float) else clipped(value, 80)


def _rails(rails: Sequence[RailView]) -> Markup:
    header = (
        "guard rail",
        "canary",
        "control",
        "worse by",
        "margin",
        "evidence of harm",
        "evidence of no harm",
        "found",
    )
    rows = [
        (
            join([tag("span", rail.rail), tag("small", _RAILS.get(rail.rail))]),
            _arm(rail, rail.canary_mean, rail.canary_count),
            _arm(rail, rail.control_mean, rail.control_count),
            _difference(rail, rail.difference),
            _difference(rail, rail.margin),
            join([e_value(rail.harm), tag("small", f"of {e_value(rail.harm_threshold)}")]),
            join([e_value(rail.proof), tag("small", f"of {e_value(rail.proof_threshold)}")]),
            _found(rail),
        )
        for rail in rails
    ]
    caption = "The guard rails at the end. Worse by more than the margin is harm; below 0 is better."
    return table(caption, header, rows, numbers=range(1, 7))


def _difference(rail: RailView, value: float | None) -> str:
    return signed_money(value) if rail.rail == RailName.COST else signed(value, "points")


def _arm(rail: RailView, mean: float | None, observations: float | None) -> Markup:
    if rail.rail == RailName.COST:
        shown = money(mean)
    else:
        shown = points(mean) if rail.rail == RailName.QUALITY or mean is None else percent(mean / 100)
    return join([shown, tag("small", f"of {count(observations)}")])


def _found(rail: RailView) -> Markup:
    if rail.is_breached:
        return _verdict("harm", is_good=False)
    if rail.is_proven:
        return _verdict("no harm", is_good=True)
    return tag("span", "undecided", class_="verdict open")


def _transitions(transitions: Sequence[TransitionView]) -> Markup:
    first = _moment(transitions[0].at)
    rows = [
        (
            _since(first, _moment(each.at)),
            each.state.replace("_", " "),
            percent(each.share) if each.share is not None else ABSENT,
            clipped(each.reason, _LONGEST),
        )
        for each in transitions[:_MOST_TRANSITIONS]
    ]
    header = ("after", "state", "share of the requests", "reason")
    return table("How it went.", header, rows, numbers=(2,))


def _moment(at: Any) -> float | None:
    """Seconds of some epoch."""
    if isinstance(at, int | float):
        return float(at)
    try:
        return datetime.fromisoformat(at).timestamp()
    except (TypeError, ValueError):
        return None


def _since(first: float | None, at: float | None) -> str:
    return ABSENT if first is None or at is None else f"{at - first:.1f}\N{NO-BREAK SPACE}s"
