"""What the pictures of the report have in common: axes, lines, legends. Pictures are SVG inside of the page.

Colours are classes of the page's style sheet, so that a picture follows the reader's light or dark scheme.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from evolving_ai.demo.report_markup import Child, Markup, join, tag
from evolving_ai.demo.report_numbers import even

__all__ = [
    "WIDTH",
    "Axis",
    "Panel",
    "area",
    "clip",
    "figure",
    "frame",
    "label",
    "legend",
    "line",
    "picture",
    "polyline",
    "swatch",
    "thinned",
]

WIDTH = 920
"""Of a picture that takes the whole column, in its own units."""

_FAR = 4000.0
Point: TypeAlias = tuple[float, float]
Texts: TypeAlias = Callable[[Sequence[float]], list[str]]


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps the values from `low` to `high` to the places from `start` to `end`; `is_log`: by their logarithms."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def at(self, value: float) -> float:
        """Where the value is. Values beyond the range are beyond the picture, but not further than SVG can draw."""
        low, high = self._scaled(self.low), self._scaled(self.high)
        share = (self._scaled(value) - low) / (high - low) if high > low else 0.5
        place = self.start + share * (self.end - self.start)
        return min(max(place, -_FAR), _FAR)

    def ticks(self, most: int = 6) -> list[float]:
        """Round values within the range, at most about `most`."""
        if self.is_log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            step = max(1, math.ceil((last - first + 1) / most))
            return [10.0**power for power in range(first, last + 1) if power % step == 0]
        span = self.high - self.low
        if not span > 0:
            return [self.low]
        rough = span / most
        size = 10.0 ** math.floor(math.log10(rough))
        step_size = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough * 0.999)
        first, last = math.ceil(self.low / step_size - 1e-9), math.floor(self.high / step_size + 1e-9)
        return [number * step_size for number in range(first, last + 1)]

    def _scaled(self, value: float) -> float:
        return math.log10(max(value, 1e-300)) if self.is_log else value


@dataclass(frozen=True, slots=True)
class Panel:
    """A rectangle with two axes."""

    x: Axis
    y: Axis

    @property
    def left(self) -> float:
        return self.x.start

    @property
    def right(self) -> float:
        return self.x.end

    @property
    def top(self) -> float:
        return self.y.end

    @property
    def bottom(self) -> float:
        return self.y.start


def picture(name: str, title: str, about: str, height: float, *content: Child, width: float = WIDTH) -> Markup:
    """An SVG picture; `title` and `about` say in words what it shows. `name` is unique in the page."""
    return tag(
        "svg",
        tag("title", title, id=f"{name}-title"),
        tag("desc", about, id=f"{name}-about"),
        *content,
        class_="plot",
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_labelledby=f"{name}-title {name}-about",
    )


def figure(drawn: Markup, *under: Child) -> Markup:
    """A picture with its legend and what is to be known about it."""
    return tag(
        "figure",
        tag("div", drawn, class_="scroll wide", tabindex="0", role="group", aria_label="picture"),
        tag("figcaption", *under),
    )


def frame(
    panel: Panel,
    x_title: str,
    y_title: str,
    *,
    x_texts: Texts = even,
    y_texts: Texts = even,
    x_most: int = 8,
    y_most: int = 6,
) -> Markup:
    """Grid, axes and their names."""
    parts: list[Markup] = []
    x_ticks, y_ticks = panel.x.ticks(x_most), panel.y.ticks(y_most)
    for value, words in zip(y_ticks, y_texts(y_ticks), strict=True):
        y = panel.y.at(value)
        parts += [
            line(panel.left, y, panel.right, y, "grid"),
            label(panel.left - 8, y + 4, words, "tick", "end"),
        ]
    for value, words in zip(x_ticks, x_texts(x_ticks), strict=True):
        x = panel.x.at(value)
        parts += [
            line(x, panel.bottom, x, panel.bottom + 4, "axis"),
            label(x, panel.bottom + 18, words, "tick", "middle"),
        ]
    parts += [
        line(panel.left, panel.bottom, panel.right, panel.bottom, "axis"),
        label((panel.left + panel.right) / 2, panel.bottom + 37, x_title, "name", "middle"),
        label(panel.left, panel.top - 12, y_title, "name", "start"),
    ]
    return join(parts)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A straight line of a class."""
    return tag("line", x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}", class_=kind)


def label(x: float, y: float, words: str, kind: str = "tick", anchor: str = "start") -> Markup:
    """Words; `anchor` is start, middle or end."""
    return tag("text", words, x=f"{x:.1f}", y=f"{y:.1f}", class_=kind, text_anchor=anchor)


def clip(name: str, panel: Panel, *content: Child) -> Markup:
    """What is drawn inside of a panel alone."""
    box = tag(
        "rect",
        x=f"{panel.left:.1f}",
        y=f"{panel.top:.1f}",
        width=f"{panel.right - panel.left:.1f}",
        height=f"{panel.bottom - panel.top:.1f}",
    )
    return join([tag("clipPath", box, id=name), tag("g", *content, clip_path=f"url(#{name})")])


def polyline(panel: Panel, values: Iterable[Point], kind: str) -> Markup:
    """A line through values; those that are not finite are left out."""
    return tag("polyline", points=_places(panel, values), class_=kind)


def area(panel: Panel, upper: Sequence[Point], lower: Sequence[Point], kind: str, title: str) -> Markup:
    """What lies between two lines."""
    return tag("polygon", tag("title", title), points=_places(panel, [*upper, *reversed(lower)]), class_=kind)


def swatch(kind: str, *, is_line: bool = False) -> Markup:
    """The sample of a class that stands in a legend."""
    drawn = line(0, 6, 26, 6, kind) if is_line else tag("rect", x=0, y=0, width=12, height=12, rx=2, class_=kind)
    width = 26 if is_line else 12
    return tag("svg", drawn, viewBox=f"0 0 {width} 12", width=width, height=12, class_="swatch", aria_hidden="true")


def legend(entries: Mapping[str, Markup]) -> Markup:
    """Names with their swatches."""
    return tag("ul", *(tag("li", drawn, " ", name) for name, drawn in entries.items()), class_="legend")


def thinned(values: Sequence[Point], most: int) -> list[Point]:
    """At most about `most` of the values, evenly; the first and the last are always there."""
    if len(values) <= most:
        return list(values)
    stride = math.ceil(len(values) / most)
    kept = list(values[::stride])
    return kept if kept[-1] == values[-1] else [*kept, values[-1]]


def _places(panel: Panel, values: Iterable[Point]) -> str:
    return " ".join(
        f"{panel.x.at(x):.1f},{panel.y.at(y):.1f}" for x, y in values if math.isfinite(x) and math.isfinite(y)
    )
