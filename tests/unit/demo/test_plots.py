"""Pictures: what is drawn lies where its numbers say, and words do not cover each other."""

import itertools
import math
import re
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evolving_ai.demo.plots import Axis, Panel, polyline, thinned
from evolving_ai.demo.plots_evidence import evidence_figure
from evolving_ai.demo.plots_pareto import pareto_figure, row_kind
from evolving_ai.demo.plots_traffic import model_classes, traffic_figure
from evolving_ai.demo.record import DemoRecord, Mark, TrafficSecond
from evolving_ai.demo.report_view import RolloutView
from tests.doubles.demo_records import demo_record

FINITE = st.floats(min_value=-1e12, max_value=1e12)
PANEL = Panel(Axis(0.0, 100.0, 64.0, 900.0), Axis(0.0, 1.0, 300.0, 30.0))


def numbers_of(points: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in points.split())]


def lines_of(svg: str, kind: str) -> list[list[tuple[float, float]]]:
    return [numbers_of(points) for points in re.findall(rf'<polyline points="([^"]*)" class="line {kind}"', svg)]


@given(FINITE, FINITE, st.integers(2, 12))
def test_ticks_lie_on_the_axis_evenly(one: float, other: float, most: int) -> None:
    low, high = min(one, other), max(one, other)
    ticks = Axis(low, high, 0.0, 100.0).ticks(most)
    span = high - low
    assert len(ticks) <= most + 2
    assert all(
        low - 1e-6 * max(1.0, span, abs(low)) <= tick <= high + 1e-6 * max(1.0, span, abs(high)) for tick in ticks
    )


def test_a_logarithmic_axis_has_powers_of_ten_as_ticks() -> None:
    axis = Axis(0.01, 320.0, 300.0, 30.0, is_log=True)
    assert axis.ticks(8) == pytest.approx([0.01, 0.1, 1.0, 10.0, 100.0])
    assert axis.at(0.01) == 300.0
    assert axis.at(320.0) == pytest.approx(30.0)
    assert axis.at(0.0) > 300.0


@given(st.lists(st.tuples(st.floats(), st.floats()), max_size=20))
def test_no_value_leads_out_of_what_svg_can_draw(values: list[tuple[float, float]]) -> None:
    drawn = re.search(r'points="([^"]*)"', polyline(PANEL, values, "line"))
    assert drawn is not None
    assert all(math.isfinite(x) and abs(x) <= 4000 and abs(y) <= 4000 for x, y in numbers_of(drawn[1]))


@given(st.integers(1, 3000), st.integers(2, 300))
def test_thinning_keeps_both_ends(size: int, most: int) -> None:
    values = [(float(number), 0.0) for number in range(size)]
    kept = thinned(values, most)
    assert len(kept) <= most + 1
    assert (kept[0], kept[-1]) == (values[0], values[-1])


def test_the_evidence_of_a_harmful_rollout_ends_at_its_threshold_and_that_of_a_good_one_below() -> None:
    record = demo_record()
    assert record.good is not None
    assert record.bad is not None
    ends = {}
    for name, figures in (("good", record.good), ("bad", record.bad)):
        svg = evidence_figure(name, RolloutView.read(figures.view))
        assert svg is not None
        threshold = re.search(r'y1="([\d.]+)" x2="[\d.]+" y2="\1" class="threshold"', svg)
        assert threshold is not None
        ends[name] = lines_of(svg, "quality")[0][-1][1] - float(threshold[1])
    assert ends["bad"] <= 0 < ends["good"]


def test_a_rollout_without_history_has_no_evidence_to_draw() -> None:
    assert evidence_figure("none", RolloutView.read({"state": "refused"})) is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [("seed DNA", "seed"), ("Evolved", "evolved"), ("oracle", "oracle"), ("cheapest: x", "cheapest"), ("", "other")],
)
def test_a_policy_is_known_by_its_first_word(name: str, kind: str) -> None:
    assert row_kind(name) == kind


def test_policies_lie_where_they_were_measured_with_their_names() -> None:
    record = demo_record()
    svg = pareto_figure(record)
    assert svg is not None
    places = [(float(x), float(y)) for x, y in re.findall(r'transform="translate\(([\d.]+) ([\d.]+)\)"', svg)]
    by_cost = sorted(zip(record.rows, places, strict=True), key=lambda pair: pair[0].cost_usd_per_1k)
    assert [x for _, (x, _) in by_cost] == sorted(x for x, _ in places)
    by_quality = sorted(zip(record.rows, places, strict=True), key=lambda pair: pair[0].quality)
    assert [y for _, (_, y) in by_quality] == sorted((y for _, y in places), reverse=True)
    assert all(f">{row.name}</text>" in svg for row in record.rows)


def test_only_measured_policies_or_only_a_front_can_be_drawn_too() -> None:
    record = demo_record()
    assert pareto_figure(DemoRecord(rows=record.rows[:1])) is not None
    assert pareto_figure(DemoRecord(front=[(0.1, 60.0)], candidates=[(0.1, 60.0)])) is not None
    assert pareto_figure(DemoRecord(candidates=[(0.1, 60.0)])) is None


def test_the_areas_of_a_second_add_up_to_its_answers() -> None:
    answers = {f"model-{number}": 10 + number for number in range(12)}
    record = DemoRecord(traffic=[TrafficSecond(at_s, answers, 5) for at_s in range(30)])
    svg = traffic_figure(record)
    assert svg is not None
    layers = [numbers_of(points) for points in re.findall(r'<polygon points="([^"]*)" class="layer', svg)]
    assert len(layers) == 10  # eight models, the others, what failed
    bottom = layers[0][-1][1]
    highest = min(y for _, y in layers[-1])
    whole = sum(answers.values()) + 5
    first = bottom - layers[0][0][1]
    assert first / (bottom - highest) == pytest.approx(max(answers.values()) / whole, abs=0.01)
    assert "other models" in svg


def test_a_model_has_the_same_colour_wherever_it_is_drawn() -> None:
    record = demo_record()
    classes = model_classes(record)
    assert len(set(classes.values())) == len(classes)
    assert {model for row in record.rows for model in row.shares} <= classes.keys()
    assert list(classes) == list(model_classes(replace(record, traffic=list(reversed(record.traffic)))))


def marked(*moments: float) -> str:
    traffic = [TrafficSecond(at_s, {"m": 1}, 0) for at_s in range(0, 201, 10)]
    marks = [Mark(at_s, f"mark {number}") for number, at_s in enumerate(moments)]
    svg = traffic_figure(DemoRecord(traffic=traffic, marks=marks))
    assert svg is not None
    return svg


def boxes_of(svg: str) -> list[tuple[float, float, float]]:
    """Of the words of marks: where their line of text lies, begins and ends, in letters of a common width."""
    said = re.findall(r'<text x="([\d.]+)" y="([-\d.]+)" class="event" text-anchor="(\w+)">(mark \d+)<', svg)
    return [
        (float(y), float(x) - (45 if anchor == "end" else 0), float(x) + (0 if anchor == "end" else 45))
        for x, y, anchor, _ in said
    ]


@example([190.0, 198.0])  # too far to the right for words beside them: these stand on the left
@given(st.lists(st.floats(0, 200), max_size=5))
def test_the_words_of_marks_do_not_cover_each_other(moments: list[float]) -> None:
    boxes = boxes_of(marked(*moments))
    assert len(boxes) == len(moments)
    for one, other in itertools.combinations(boxes, 2):
        assert one[0] != other[0] or one[2] <= other[1] or other[2] <= one[1]


def test_no_line_of_a_mark_crosses_the_words_of_one_before() -> None:
    svg = marked(96.0, 99.0, 104.0, 110.0, 114.0)
    lines = re.findall(r'<line x1="([\d.]+)" y1="([-\d.]+)"[^>]*class="moment"', svg)
    assert len(lines) == 5
    for baseline, start, end in boxes_of(svg):
        assert not [x for x, top in lines if start < float(x) < end and float(top) < baseline]


def test_what_happens_after_the_last_answer_is_marked_within_the_picture() -> None:
    svg = traffic_figure(DemoRecord(traffic=[TrafficSecond(1, {"m": 1}, 0)], marks=[Mark(90.0, "end")]))
    assert svg is not None
    line = re.search(r'<line x1="([\d.]+)"[^>]*class="moment"', svg)
    assert line is not None
    assert float(line[1]) <= 900.0
