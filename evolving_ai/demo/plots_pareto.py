"""Quality over cost: what the campaign tried, what it kept, and the policies that were measured live.

The same picture as `evolution/pareto_plot.py` draws of a campaign; this one has measured intervals and is an SVG.
"""

import math
from collections.abc import Iterable, Sequence

from evolving_ai.demo.plots import Axis, Panel, clip, figure, frame, label, legend, line, picture, polyline, swatch
from evolving_ai.demo.record import DemoRecord, MeasuredRow
from evolving_ai.demo.report_markup import Markup, clipped, join, tag
from evolving_ai.demo.report_numbers import count, even, money, points

__all__ = ["pareto_figure", "row_kind"]

_HEIGHT = 460
_MOST_DOTS = 1500
_KINDS = ("cheapest", "seed", "evolved", "oracle")
_SQUARE, _DIAMOND, _TRIANGLE, _STAR = (
    "-6,-6 6,-6 6,6 -6,6",
    "0,-8 8,0 0,8 -8,0",
    "0,-8 7.5,6 -7.5,6",
    "0,-11 2.6,-3.6 10.5,-3.4 4.2,1.4 6.5,8.9 0,4.4 -6.5,8.9 -4.2,1.4 -10.5,-3.4 -2.6,-3.6",
)
_SHAPES = {"cheapest": _TRIANGLE, "seed": _SQUARE, "evolved": _STAR, "oracle": _DIAMOND}
_Box = tuple[float, float, float, float]


def row_kind(name: str) -> str:
    """Which of the four a measured row is, by the first word of its name; `other`: none of them."""
    first = name.lower().split(maxsplit=1)[0].strip(":,") if name.strip() else ""
    return first if first in _KINDS else "other"


def pareto_figure(record: DemoRecord) -> Markup | None:
    """The figure; None when there is nothing to draw."""
    if not record.rows and not record.front:
        return None
    panel = _panel(record)
    step = math.ceil(len(record.candidates) / _MOST_DOTS) or 1
    front = sorted(record.front)[:_MOST_DOTS]
    drawn = [
        frame(
            panel, "US dollars for 1,000 requests", "quality, points of 100", x_texts=lambda values: even(values, "$")
        ),
        clip(
            "pareto-clip",
            panel,
            *(_dot(panel, cost, quality, "candidate", 2.6) for cost, quality in record.candidates[::step]),
            polyline(panel, front, "line front"),
            *(_dot(panel, cost, quality, "kept", 3.6) for cost, quality in front),
        ),
        _marks(panel, record.rows),
    ]
    about = "; ".join(
        f"{clipped(row.name, 60)}: {points(row.quality)} points for {money(row.cost_usd_per_1k)} per 1,000 requests"
        for row in record.rows
    )
    return figure(picture("pareto", "Quality over cost", about, _HEIGHT, *drawn), _legend(record), _caption(record))


def _panel(record: DemoRecord) -> Panel:
    xs = [cost for cost, _ in record.front] + [row.cost_usd_per_1k for row in record.rows]
    ys = [quality for _, quality in record.front]
    ys += [bound for row in record.rows for bound in (row.quality_low, row.quality_high)]
    (left, right), (low, high) = _range(xs, 0.08), _range(ys, 0.08)
    return Panel(Axis(max(0.0, left), right, 64, 900), Axis(low, min(100.0, high), _HEIGHT - 50, 34))


def _range(values: Sequence[float], margin: float) -> tuple[float, float]:
    """What has to be seen. Far-off misses of the search stay out of sight: they would flatten the front."""
    low, high = min(values), max(values)
    span = (high - low) or abs(high) or 1.0
    return low - margin * span, high + margin * span


def _dot(panel: Panel, cost: float, quality: float, kind: str, radius: float) -> Markup:
    return tag("circle", cx=f"{panel.x.at(cost):.1f}", cy=f"{panel.y.at(quality):.1f}", r=radius, class_=kind)


def _marks(panel: Panel, rows: Iterable[MeasuredRow]) -> Markup:
    taken: list[_Box] = []
    places = [(row, panel.x.at(row.cost_usd_per_1k), panel.y.at(row.quality)) for row in rows]
    for row, x, y in places:
        taken.append((x - 11, y - 11, x + 11, y + 11))
        taken.append((x - 4, panel.y.at(row.quality_high), x + 4, panel.y.at(row.quality_low)))
    return join(_mark(panel, row, x, y, taken) for row, x, y in places)


def _mark(panel: Panel, row: MeasuredRow, x: float, y: float, taken: list[_Box]) -> Markup:
    kind, name = row_kind(row.name), clipped(row.name, 60)
    low, high = panel.y.at(row.quality_low), panel.y.at(row.quality_high)
    whisker = f"whisker {kind}"
    place_x, place_y, anchor, box = _room(panel, name, x, y, taken)
    taken.append(box)
    interval = f"{points(row.quality_low)} to {points(row.quality_high)}"
    said = f"{name}: {points(row.quality)} points of 100 ({interval}), {money(row.cost_usd_per_1k)} per 1,000 requests"
    return tag(
        "g",
        tag("title", said),
        line(x, low, x, high, whisker),
        line(x - 5, low, x + 5, low, whisker),
        line(x - 5, high, x + 5, high, whisker),
        tag(
            "polygon", points=_SHAPES.get(kind, _SQUARE), transform=f"translate({x:.1f} {y:.1f})", class_=f"mark {kind}"
        ),
        label(place_x, place_y, name, f"said {kind}", anchor),
    )


def _room(panel: Panel, name: str, x: float, y: float, taken: Sequence[_Box]) -> tuple[float, float, str, _Box]:
    """Where a name has room: beside its mark, else above or below of it."""
    width = 7.4 * len(name)
    options = []
    for down in (4.5, -14.0, 23.0, -30.0, 40.0):
        options.append((x + 15, y + down, "start", (x + 15, y + down - 12, x + 15 + width, y + down + 4)))
        options.append((x - 15, y + down, "end", (x - 15 - width, y + down - 12, x - 15, y + down + 4)))
    fitting = [each for each in options if panel.left <= each[3][0] and each[3][2] <= panel.right]
    free = [each for each in fitting if not any(_overlap(each[3], other) for other in taken)]
    return (free or fitting or options)[0]


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _legend(record: DemoRecord) -> Markup:
    entries = {}
    if record.candidates:
        entries[f"all candidates ({count(len(record.candidates))})"] = swatch("candidate")
    if record.front:
        entries[f"front ({count(len(record.front))})"] = swatch("line front", is_line=True)
    if record.rows:
        entries["measured live, with 95\N{NO-BREAK SPACE}% interval"] = swatch("mark")
    return legend(entries)


def _caption(record: DemoRecord) -> Markup:
    said = "Better is up and to the left. "
    if record.front:
        said += "Dots are replayed on the questions that the campaign may see. "
    if record.rows:
        said += (
            "Marks are measured through the gateway, on held-out questions; the oracle knows every answer beforehand."
        )
    return tag("p", said)
