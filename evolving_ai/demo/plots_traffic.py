"""Which model answered, second by second, with what happened meanwhile."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from evolving_ai.demo.plots import WIDTH, Axis, Panel, area, figure, frame, label, legend, line, picture, swatch
from evolving_ai.demo.record import DemoRecord, Mark, TrafficSecond
from evolving_ai.demo.report_markup import Markup, clipped, join, table, tag
from evolving_ai.demo.report_numbers import count, percent

__all__ = ["OTHERS", "model_classes", "traffic_figure"]

OTHERS = "other models"
_COLOURS = 8
_MOST_BINS = 240
_LANE = 16.0
_MOST_LANES = 12
_MOST_MARKS = 40
_MOST_REASONS = 20
_FAILED = "\0failed"  # no model is named so


def model_classes(record: DemoRecord) -> dict[str, str]:
    """The colour of each model that has one, the same in every picture; the models that answer most come first."""
    total: Counter[str] = Counter()
    for second in record.traffic:
        total.update(second.answers)
    for row in record.rows:
        total.update(dict.fromkeys(row.shares, 0))
    ranked = sorted(total, key=lambda model: (-total[model], model))
    return {model: f"model{position}" for position, model in enumerate(ranked[:_COLOURS])}


def traffic_figure(record: DemoRecord) -> Markup | None:
    """The figure; None when there was no traffic."""
    if not record.traffic:
        return None
    classes = model_classes(record)
    seconds, bins = _binned(record.traffic)
    marks = sorted(record.marks, key=lambda mark: mark.at_s)[:_MOST_MARKS]
    last = max(seconds[-1], *(mark.at_s for mark in marks), 1.0)
    lanes = _lanes(marks, last)
    top = 30 + _LANE * (1 + max((lane for _, lane in lanes), default=0))
    peak = max(sum(each.values()) for each in bins) or 1.0
    panel = Panel(_time_axis(last), Axis(0.0, peak * 1.04, top + 260, top))
    drawn = [
        frame(panel, "seconds since the demonstration began", "answers per second"),
        _areas(panel, seconds, bins, classes),
        _marks(panel, lanes),
    ]
    happened = "; ".join(f"{_words(mark)} at {count(mark.at_s)} s" for mark in marks)
    about = f"{_totals(record)} {happened}"
    drawing = picture("traffic", "Answers per second by model", about, top + 310, *drawn)
    return figure(drawing, _legend(record, classes), tag("p", _totals(record)), _failures(record))


def _time_axis(last: float) -> Axis:
    return Axis(0.0, last, 64, WIDTH - 20)


def _binned(traffic: Sequence[TrafficSecond]) -> tuple[list[float], list[dict[str, float]]]:
    """Answers per second in bins of equal length; seconds of which nothing is said had no answer."""
    last = max(second.at_s for second in traffic)
    length = max(1, math.ceil((last + 1) / _MOST_BINS))
    bins: list[dict[str, float]] = [{} for _ in range(math.floor(last / length) + 1)]
    for second in traffic:
        here = bins[max(0, int(second.at_s // length))]
        for model, answers in {**second.answers, _FAILED: second.failed}.items():
            here[model] = here.get(model, 0.0) + answers / length
    return [float(position * length) for position in range(len(bins))], bins


def _areas(
    panel: Panel, seconds: Sequence[float], bins: Sequence[Mapping[str, float]], classes: Mapping[str, str]
) -> Markup:
    lower = [0.0] * len(bins)
    parts = []
    coloured = {*classes, _FAILED}
    layers: list[tuple[str, str, Sequence[str]]] = [(model, kind, [model]) for model, kind in classes.items()]
    rest = sorted({model for each in bins for model in each} - coloured)
    layers += [(OTHERS, "model-rest", rest), ("failed requests", "failed", [_FAILED])]
    for name, kind, models in layers:
        upper = [low + sum(each.get(model, 0.0) for model in models) for low, each in zip(lower, bins, strict=True)]
        if upper != lower:
            pairs = list(zip(seconds, upper, strict=True)), list(zip(seconds, lower, strict=True))
            parts.append(area(panel, *pairs, f"layer {kind}", clipped(name, 60)))
        lower = upper
    return join(parts)


def _lanes(marks: Sequence[Mark], last: float) -> list[tuple[Mark, int]]:
    """In which row above the picture each mark's words stand: above all lines that would cross them."""
    axis, placed = _time_axis(last), list[tuple[Mark, int]]()
    for mark in reversed(marks):
        start, end = _span(axis, mark)
        near = [(_span(axis, other), axis.at(other.at_s), lane) for other, lane in placed]
        crossed = [lane for _, x, lane in near if start <= x <= end]
        taken = {lane for (other_start, other_end), _, lane in near if other_start < end and start < other_end}
        free = [lane for lane in range(max(crossed, default=-1) + 1, _MOST_LANES) if lane not in taken]
        placed.append((mark, free[0] if free else _MOST_LANES - 1))
    return placed[::-1]


def _span(axis: Axis, mark: Mark) -> tuple[float, float]:
    width = 6.6 * len(_words(mark)) + 14
    start = axis.at(mark.at_s)
    return (start, start + width) if _is_left(axis, mark) else (start - width, start)


def _is_left(axis: Axis, mark: Mark) -> bool:
    """Whether the words stand to the right of their line: they do unless the picture ends there."""
    return axis.at(mark.at_s) + 6.6 * len(_words(mark)) + 14 <= axis.end + 10


def _words(mark: Mark) -> str:
    return clipped(mark.label, 40)


def _marks(panel: Panel, lanes: Sequence[tuple[Mark, int]]) -> Markup:
    """The lines first: words stand on them."""
    lines, said = [], []
    for mark, lane in lanes:
        x, y = panel.x.at(mark.at_s), panel.top - 30 - _LANE * lane
        side, anchor = (5, "start") if _is_left(panel.x, mark) else (-5, "end")
        lines.append(line(x, y - 9, x, panel.bottom, "moment"))
        said.append(label(x + side, y, _words(mark), "event", anchor))
    return join([*lines, *said])


def _legend(record: DemoRecord, classes: Mapping[str, str]) -> Markup:
    total: Counter[str] = Counter()
    for second in record.traffic:
        total.update(second.answers)
    answers = total.total() or 1
    entries = {
        f"{clipped(model, 60)} ({percent(total[model] / answers)})": swatch(f"layer {kind}")
        for model, kind in classes.items()
        if total[model]
    }
    rest = answers - sum(total[model] for model in classes)
    if rest > 0 and total:
        entries[f"{OTHERS} ({percent(rest / answers)})"] = swatch("layer model-rest")
    if any(second.failed for second in record.traffic):
        entries["failed requests"] = swatch("layer failed")
    return legend(entries)


def _totals(record: DemoRecord) -> str:
    answers = sum(sum(second.answers.values()) for second in record.traffic)
    failed = sum(second.failed for second in record.traffic)
    return f"{count(answers)} answers in all, {count(failed)} failed requests."


def _failures(record: DemoRecord) -> Markup | None:
    if not record.failures:
        return None
    rows = sorted(record.failures.items(), key=lambda pair: (-pair[1], pair[0]))[:_MOST_REASONS]
    return table(
        "Why requests failed.", ("reason", "requests"), [(clipped(why, 200), count(n)) for why, n in rows], (1,)
    )
