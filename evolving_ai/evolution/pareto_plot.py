"""The picture of a campaign with two objectives (or one, over the evaluations). matplotlib is imported when drawing."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evolving_ai.domain.fitness import Objective
from evolving_ai.evolution.candidate import Scored
from evolving_ai.evolution.result import CampaignResult

__all__ = ["ReferencePoint", "draw_pareto"]

_GREY, _FRONT, _WINNER, _INCUMBENT, _REFERENCE = "#b8bcc2", "#1f5fa8", "#d1495b", "#2b2d33", "#7a5195"


@dataclass(frozen=True, slots=True)
class ReferencePoint:
    """Something to compare with: a name and its scores of the first two objectives."""

    name: str
    x: float
    y: float


def draw_pareto(result: CampaignResult, *, winner: int | None, references: Sequence[ReferencePoint] = ()) -> bytes:
    """A PNG: all candidates, the front as a line, incumbent, winner and reference points.

    The first objective is drawn upwards, the second to the right (quality over cost). With one objective the picture
    shows the best score so far over the evaluations; objectives beyond the second are not drawn.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 5.6), dpi=150, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    if len(result.spec.objectives) == 1:
        _draw_history(axes, result)
    else:
        _draw_front(axes, result, winner, references)
    axes.grid(visible=True, color="#eceef1", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f"Campaign {result.spec.id}: {result.evaluations} evaluations", loc="left", fontsize=11)
    picture = io.BytesIO()
    canvas.print_png(picture)
    return picture.getvalue()


def _label(objective: Objective) -> str:
    unit = f" ({objective.unit})" if objective.unit else ""
    if objective.direction == "maximize":
        return f"{objective.name}{unit}   higher is better \N{RIGHTWARDS ARROW}"
    return f"\N{LEFTWARDS ARROW} lower is better   {objective.name}{unit}"


def _points(scored: Sequence[Scored], x: str, y: str) -> tuple[list[float], list[float]]:
    done = [one.evaluation.scores for one in scored if one.evaluation is not None and one.evaluation.failure is None]
    return [scores[x].value for scores in done], [scores[y].value for scores in done]


def _draw_front(axes: Any, result: CampaignResult, winner: int | None, references: Sequence[ReferencePoint]) -> None:
    vertical, horizontal = result.spec.objectives[0], result.spec.objectives[1]
    x, y = horizontal.name, vertical.name
    xs, ys = _points(result.scored, x, y)
    axes.scatter(xs, ys, s=14, color=_GREY, linewidths=0, label=f"all candidates ({len(xs)})", zorder=2)
    pairs = sorted(zip(*_points(result.front, x, y), strict=True))
    if pairs:
        front_x, front_y = zip(*pairs, strict=True)
        axes.plot(
            front_x, front_y, color=_FRONT, marker="o", markersize=4, linewidth=1.6, zorder=3,
            label=f"front ({len(pairs)})",
        )  # fmt: skip
    for point in references:
        axes.scatter([point.x], [point.y], marker="D", s=46, color=_REFERENCE, zorder=4)
    _mark(axes, result.scored[:1], x, y, {"marker": "s", "color": _INCUMBENT, "label": "incumbent"})
    if winner is not None:
        style = {"marker": "*", "s": 260, "color": _WINNER, "label": f"chosen: candidate {winner}"}
        _mark(axes, [result.scored[winner]], x, y, style)
    axes.set_xlabel(_label(horizontal))
    axes.set_ylabel(_label(vertical))
    axes.legend(loc="best", frameon=True, framealpha=0.9, edgecolor="none", fontsize=9)
    _zoom(axes, result, references, x, y)
    for point in references:
        _name(axes, point.name, point.x, point.y, _REFERENCE)


def _mark(axes: Any, scored: Sequence[Scored], x: str, y: str, style: dict[str, Any]) -> None:
    xs, ys = _points(scored, x, y)
    axes.scatter(xs, ys, **{"s": 80, "zorder": 5, "edgecolors": "white", "linewidths": 1.0, **style})


def _name(axes: Any, text: str, x: float, y: float, color: str) -> None:
    """Write a point's name beside it, on the side where there is room."""
    low, high = axes.get_xlim()
    side, offset = ("right", -8) if x > (low + high) / 2 else ("left", 8)
    axes.annotate(
        text, (x, y), xytext=(offset, -12), textcoords="offset points", ha=side, fontsize=8, color=color, zorder=6
    )


def _zoom(axes: Any, result: CampaignResult, references: Sequence[ReferencePoint], x: str, y: str) -> None:
    """Leave far-off misses of the search out of sight: they would flatten the front."""
    xs, ys = _points([*result.front, *result.scored[:1]], x, y)
    xs, ys = [*xs, *(point.x for point in references)], [*ys, *(point.y for point in references)]
    all_xs, all_ys = _points(result.scored, x, y)
    for values, everything, set_limits in ((xs, all_xs, axes.set_xlim), (ys, all_ys, axes.set_ylim)):
        if not values or max(values) == min(values):
            continue
        span = max(values) - min(values)
        low = max(min([*everything, *values]), min(values) - 0.8 * span)
        high = min(max([*everything, *values]), max(values) + 0.8 * span)
        set_limits(low - 0.05 * (high - low), high + 0.08 * (high - low))


def _draw_history(axes: Any, result: CampaignResult) -> None:
    objective = result.spec.objectives[0]
    done = [one for one in result.scored if one.evaluation is not None and one.evaluation.failure is None]
    values = [one.evaluation.scores[objective.name].value for one in done if one.evaluation is not None]
    indices = [one.candidate.index for one in done]
    best: list[float] = []
    for value in values:
        best.append(value if not best or objective.gain(value) > objective.gain(best[-1]) else best[-1])
    axes.scatter(indices, values, s=14, color=_GREY, linewidths=0, label="candidates", zorder=2)
    axes.step(indices, best, where="post", color=_FRONT, linewidth=1.8, label="best so far", zorder=3)
    axes.set_xlabel("candidate")
    axes.set_ylabel(_label(objective))
    axes.legend(loc="best", frameon=True, framealpha=0.9, edgecolor="none", fontsize=9)
