"""The head of the report: what happened in a few sentences with figures, and how the policies fared."""

from collections.abc import Mapping

from evolving_ai.demo.plots import Axis, line
from evolving_ai.demo.plots_pareto import row_kind
from evolving_ai.demo.record import DemoRecord, MeasuredRow, RolloutFigures
from evolving_ai.demo.report_markup import Child, Markup, clipped, join, table, tag
from evolving_ai.demo.report_numbers import count, duration, money, percent, points, signed
from evolving_ai.demo.report_view import RolloutView

__all__ = ["headline", "measured_table"]

_BAR_WIDTH = 150.0
_NAMED_SHARES = 3
_MOST_SHARES = 40
_HEADER = (
    "policy",
    "quality, and its 95\N{NO-BREAK SPACE}% interval",
    "as a picture",
    "cost of 1,000 requests",
    "of the seed\N{RIGHT SINGLE QUOTATION MARK}s cost",
    "p50",
    "p95",
    "who answered",
)


def headline(record: DemoRecord) -> Markup:
    """Sentences, then the figures alone."""
    sentences = [_evolved(record), _promoted(record.good), _caught(record)]
    told = tag("ol", *(tag("li", sentence) for sentence in sentences if sentence), class_="story")
    tiles = [tile for tile in (*_row_tiles(record), *_rollout_tiles(record), _failed_tile(record)) if tile is not None]
    return join([told, tag("dl", *tiles, class_="tiles")])


def measured_table(record: DemoRecord, classes: Mapping[str, str]) -> Markup | None:
    """The policies, measured through the gateway. None when none was."""
    if not record.rows:
        return None
    seed = _row(record, "seed")
    low = min(row.quality_low for row in record.rows)
    high = max(row.quality_high for row in record.rows)
    axis = Axis(low, high, 6.0, _BAR_WIDTH - 6.0)
    rows = [_measured(row, seed, axis, classes) for row in record.rows]
    caption = "Held-out questions, each asked once through the gateway; quality in points of 100."
    pace = "" if record.latency_scale == 1 else f" Latencies are replayed at {record.latency_scale:g} of their length."
    return table(caption + pace, _HEADER, rows, numbers=(3, 4, 5, 6))


def _measured(row: MeasuredRow, seed: MeasuredRow | None, axis: Axis, classes: Mapping[str, str]) -> tuple[Child, ...]:
    interval = tag("small", f"{points(row.quality_low)} to {points(row.quality_high)}")
    return (
        tag("span", clipped(row.name, 60), class_=f"policy {row_kind(row.name)}"),
        join([tag("strong", points(row.quality)), interval]),
        _interval(row, axis),
        money(row.cost_usd_per_1k),
        percent(row.cost_usd_per_1k / seed.cost_usd_per_1k) if seed and seed.cost_usd_per_1k > 0 else None,
        duration(row.p50_s),
        duration(row.p95_s),
        _shares(row, classes),
    )


def _row(record: DemoRecord, kind: str) -> MeasuredRow | None:
    return next((row for row in record.rows if row_kind(row.name) == kind), None)


def _evolved(record: DemoRecord) -> str | None:
    seed, evolved = _row(record, "seed"), _row(record, "evolved")
    if seed is None or evolved is None:
        return None
    tried = len(record.candidates)
    found = f"A campaign of {count(tried)} candidates evolved" if tried else "A campaign evolved"
    is_free = seed.cost_usd_per_1k <= 0
    share = "" if is_free else f"{percent(evolved.cost_usd_per_1k / seed.cost_usd_per_1k)} of "
    return (
        f"{found} a routing policy that scores {points(evolved.quality)} of 100 points on questions that it never saw, "
        f"for {money(evolved.cost_usd_per_1k)} per 1,000 requests: {share}the {money(seed.cost_usd_per_1k)} of the "
        f"policy that it began with, which scores {points(seed.quality)}."
    )


def _promoted(good: RolloutFigures | None) -> str | None:
    if good is None:
        return None
    view = RolloutView.read(good.view)
    begun = " and ".join(percent(share) for share, _ in view.stages)
    stages = f" with {begun} of the traffic" if begun else ""
    if view.state != "promoted":
        return f"Its rollout as a canary{stages} ended {_words(view.state)}: {clipped(view.reason, 200)}."
    margin = next((rail.margin for rail in view.rails if rail.rail == "quality"), None)
    allowed = f" ({points(margin)} points)" if margin is not None else ""
    return (
        f"It went live by itself: as a canary{stages}, it was shown to stay within the margins of quality{allowed}, "
        f"cost, latency and errors after {count(view.requests or good.requests)} requests, "
        f"{duration(good.seconds)} after its start."
    )


def _caught(record: DemoRecord) -> str | None:
    if record.bad is None:
        return None
    view = RolloutView.read(record.bad.view)
    passed = ", which every gate had let pass," if view.gates and all(gate.passed for gate in view.gates) else ""
    if view.state != "rolled_back":
        return f"Another DNA{passed} ended {_words(view.state)}: {clipped(view.reason, 200)}."
    worse = next((rail.difference for rail in view.rails if rail.rail == "quality"), None)
    much = f"{points(worse)} points worse" if worse is not None and worse > 0 else "worse than it"
    model = f" ({clipped(record.bad_model, 60)} had got worse since it was recorded)" if record.bad_model else ""
    told = record.bad.exchange_s
    ended = f", and {duration(told)} later every replica knew" if told is not None else ""
    return (
        f"Another DNA{passed} was {much} on live requests{model}: "
        f"after {count(view.canary_requests)} requests of its canary that was found{ended}."
    )


def _traffic(record: DemoRecord) -> tuple[int, int]:
    answers = sum(sum(second.answers.values()) for second in record.traffic)
    return answers, sum(second.failed for second in record.traffic)


def _tile(figure: str, name: str, more: str = "") -> Markup:
    return tag("div", tag("dt", name), tag("dd", figure, class_="big"), tag("dd", more) if more else None)


def _row_tiles(record: DemoRecord) -> list[Markup]:
    seed, evolved = _row(record, "seed"), _row(record, "evolved")
    if seed is None or evolved is None:
        return []
    gain = f"{signed(evolved.quality - seed.quality, 'points')} against the seed"
    if record.gain is not None:
        gain += f" ({signed(record.gain[1])} to {signed(record.gain[2])})"
    tiles = [_tile(points(evolved.quality), "points of 100 on unseen questions", gain)]
    if seed.cost_usd_per_1k > 0:
        paid = f"{money(evolved.cost_usd_per_1k)} instead of {money(seed.cost_usd_per_1k)} per 1,000"
        tiles.append(_tile(percent(evolved.cost_usd_per_1k / seed.cost_usd_per_1k), "of the seed policy's cost", paid))
    return tiles


def _rollout_tiles(record: DemoRecord) -> list[Markup]:
    tiles = []
    if record.good is not None and (view := RolloutView.read(record.good.view)).state == "promoted":
        took = f"in {duration(record.good.seconds)}, at {count(record.good.requests_per_s)} requests/s"
        tiles.append(_tile(count(view.requests or record.good.requests), "requests until it was promoted", took))
    if record.bad is not None and (view := RolloutView.read(record.bad.view)).state == "rolled_back":
        of_all = f"of {count(view.requests)} requests of both arms" if view.requests else ""
        tiles.append(_tile(count(view.canary_requests), "canary requests until caught", of_all))
        if record.bad.exchange_s is not None:
            tiles.append(_tile(duration(record.bad.exchange_s), "from the breach to the last replica", "rolled back"))
    return tiles


def _failed_tile(record: DemoRecord) -> Markup | None:
    answers, failed = _traffic(record)
    through = ", through an outage" if record.outage is not None else ""
    return (
        _tile(count(failed), "failed requests", f"of {count(answers + failed)}{through}") if answers + failed else None
    )


def _interval(row: MeasuredRow, axis: Axis) -> Markup:
    low, at, high = (axis.at(value) for value in (row.quality_low, row.quality, row.quality_high))
    kind = row_kind(row.name)
    return tag(
        "svg",
        line(low, 9, high, 9, f"whisker {kind}"),
        tag("circle", cx=f"{at:.1f}", cy=9, r=4.5, class_=f"mark {kind}"),
        viewBox=f"0 0 {_BAR_WIDTH:g} 18",
        width=f"{_BAR_WIDTH:g}",
        height=18,
        aria_hidden="true",
    )


def _shares(row: MeasuredRow, classes: Mapping[str, str]) -> Markup | None:
    ranked = sorted(row.shares.items(), key=lambda pair: (-pair[1], pair[0]))[:_MOST_SHARES]
    if not ranked:
        return None
    parts, done = [], 0.0
    for model, share in ranked:
        width = max(0.0, share) * _BAR_WIDTH
        title = tag("title", f"{clipped(model, 60)}: {percent(share)}")
        kind = f"layer {classes.get(model, 'model-rest')}"
        parts.append(tag("rect", title, x=f"{done:.1f}", y=0, width=f"{width:.1f}", height=10, class_=kind))
        done += width
    named = ", ".join(f"{clipped(model, 40)} {percent(share)}" for model, share in ranked[:_NAMED_SHARES])
    more = f" and {len(ranked) - _NAMED_SHARES} more" if len(ranked) > _NAMED_SHARES else ""
    bar = tag("svg", *parts, viewBox=f"0 0 {_BAR_WIDTH:g} 10", width=f"{_BAR_WIDTH:g}", height=10, aria_hidden="true")
    return join([bar, tag("small", named + more)])


def _words(state: str) -> str:
    return state.replace("_", " ") or "without a state"
