"""What the sequential tests saw of a rollout: e-values over requests with their thresholds, and running differences."""

import math
from collections.abc import Callable, Sequence

from evolving_ai.demo.plots import (
    WIDTH,
    Axis,
    Panel,
    clip,
    figure,
    frame,
    label,
    legend,
    line,
    picture,
    polyline,
    swatch,
    thinned,
)
from evolving_ai.demo.report_markup import Markup, join, tag
from evolving_ai.demo.report_numbers import e_value, percent, powers, signed, signed_money
from evolving_ai.demo.report_view import RailView, RolloutView
from evolving_ai.rollout.evidence import RailName

__all__ = ["differences_figure", "evidence_figure"]

_MOST_POINTS = 300
_LOWEST, _ABOVE = 0.01, 4.0
_HEIGHT = 330
_SMALL_HEIGHT = 250


def evidence_figure(name: str, view: RolloutView) -> Markup | None:
    """The e-values of all rails: for harm, and for its absence. None without a history."""
    if len(view.history) < 2:
        return None
    harm = _wealth(f"{name}-harm", view, "evidence of harm", lambda rail: rail.harm_threshold, 0)
    proof = _wealth(f"{name}-proof", view, "evidence of no harm", lambda rail: rail.proof_threshold, 1)
    about = "; ".join(
        f"{rail.rail}: evidence of harm {e_value(rail.harm)} of {e_value(rail.harm_threshold)} needed, "
        f"of no harm {e_value(rail.proof)} of {e_value(rail.proof_threshold)}"
        for rail in view.rails
    )
    drawn = picture(f"{name}-evidence", "E-values over the requests of both arms", about, _HEIGHT, harm, proof)
    entries = {rail.rail: swatch(f"line {rail.rail}", is_line=True) for rail in view.rails}
    said = (
        "An e-value is what a gambler would own, who began with 1 and bet against the claim on every request. Where a "
        "line reaches its threshold, that test has decided and bets no more; one may look at any moment."
    )
    return figure(drawn, legend({**entries, "threshold": swatch("threshold", is_line=True)}), tag("p", said))


def differences_figure(name: str, view: RolloutView) -> Markup | None:
    """The running difference of each rail with its margin. None without a history."""
    rails = [rail for rail in view.rails if any(rail.rail in point.difference for point in view.history)]
    if len(view.history) < 2 or not rails:
        return None
    room = WIDTH / len(rails)
    panels = [_difference(f"{name}-{rail.rail}", view, rail, room * at, room) for at, rail in enumerate(rails)]
    about = "; ".join(
        f"{rail.rail}: {_signed(rail, rail.difference)}, margin {_signed(rail, rail.margin)}" for rail in rails
    )
    title = "How much worse the canary is than the control"
    drawn = picture(f"{name}-differences", title, about, _SMALL_HEIGHT, *panels)
    said = "How much worse the canary is than the control, over all requests so far: above the margin is harm."
    return figure(drawn, tag("p", said))


def _wealth(
    name: str, view: RolloutView, title: str, threshold_of: Callable[[RailView], float | None], side: int
) -> Markup:
    thresholds = sorted({value for rail in view.rails if (value := threshold_of(rail)) is not None})
    highest = max(thresholds, default=20.0) * _ABOVE
    left = 64 + side * (WIDTH / 2 + 6)
    panel = Panel(_requests(view, left, left + WIDTH / 2 - 90), Axis(_LOWEST, highest, _HEIGHT - 50, 34, is_log=True))
    lines = []
    for rail in view.rails:
        pairs = [
            (point.requests, (point.proof if side else point.harm).get(rail.rail, math.nan)) for point in view.history
        ]
        lines.append(polyline(panel, _above(pairs), f"line {rail.rail}"))
    marks = []
    for value in thresholds:
        y = panel.y.at(value)
        marks += [
            line(panel.left, y, panel.right, y, "threshold"),
            label(panel.left + 6, y - 6, f"decides at {e_value(value)}", "said harmful"),
        ]
    axes = frame(panel, "requests of both arms", title, y_texts=powers, x_most=5, y_most=8)
    return join([axes, _growths(view, panel), clip(name, panel, *lines), *marks])


def _above(pairs: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """What an e-value was worth when it was lower than the picture is drawn at its lower edge."""
    return thinned([(x, max(y, _LOWEST)) for x, y in pairs if not math.isnan(y)], _MOST_POINTS)


def _difference(name: str, view: RolloutView, rail: RailView, left: float, room: float) -> Markup:
    pairs = [(point.requests, point.difference[rail.rail]) for point in view.history if rail.rail in point.difference]
    panel = Panel(_requests(view, left + 52, left + room - 14), Axis(*_bounds(pairs, rail), _SMALL_HEIGHT - 50, 44))
    margin = []
    if rail.margin is not None:
        y = panel.y.at(rail.margin)
        margin = [
            line(panel.left, y, panel.right, y, "threshold"),
            label(panel.right, y - 5, f"margin {_signed(rail, rail.margin)}", "said harmful", "end"),
        ]
    unit = f"{rail.rail}, {_short(rail.unit)}" if rail.unit else rail.rail
    zero = panel.y.at(0.0)
    axes = frame(panel, "requests", unit, x_most=3, y_most=5)
    drawn = polyline(panel, thinned(pairs, _MOST_POINTS), f"line {rail.rail}")
    return join([axes, line(panel.left, zero, panel.right, zero, "axis"), clip(name, panel, drawn), *margin])


def _bounds(pairs: Sequence[tuple[float, float]], rail: RailView) -> tuple[float, float]:
    """Zero, the margin and the settled part of the line; the first few requests swing too far."""
    settled = [value for _, value in pairs[len(pairs) // 10 :] if math.isfinite(value)]
    seen = [0.0, *settled, *([rail.margin * 1.25] if rail.margin is not None else [])]
    low, high = min(seen), max(seen)
    span = (high - low) or 1.0
    return low - 0.08 * span, high + 0.12 * span


def _requests(view: RolloutView, start: float, end: float) -> Axis:
    return Axis(0.0, max(1.0, view.history[-1].requests), start, end)


def _growths(view: RolloutView, panel: Panel) -> Markup:
    parts = []
    for requests, share in view.growths():
        x = panel.x.at(requests)
        parts += [
            line(x, panel.top, x, panel.bottom, "moment"),
            label(x + 5, panel.bottom - 8, percent(share), "event"),
        ]
    return join(parts)


def _short(unit: str) -> str:
    return unit.replace(" per 1,000 requests", " per 1,000")


def _signed(rail: RailView, value: float | None) -> str:
    return signed_money(value) if rail.rail == RailName.COST else signed(value, "points")
