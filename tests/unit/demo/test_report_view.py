"""What the API says of a rollout is read as it is meant, and nothing that it says breaks the report."""

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.demo.record import RolloutFigures
from evolving_ai.demo.report_rollouts import rollout_part
from evolving_ai.demo.report_view import RolloutView
from evolving_ai.rollout.evidence import HistoryPoint, RailName, RailPoint
from tests.doubles.demo_records import demo_record

KEYS = st.sampled_from(
    [
        "state",
        "reason",
        "candidate",
        "incumbent",
        "commit",
        "plan",
        "stages",
        "share",
        "min_requests",
        "requests",
        "canary",
        "control",
        "gates",
        "name",
        "passed",
        "detail",
        "figures",
        "rails",
        "rail",
        "count",
        "mean",
        "harm",
        "harm_threshold",
        "proof",
        "difference",
        "margin",
        "history",
        "quality",
        "transitions",
        "at",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=20,
)


def test_a_rollout_is_read_as_the_api_shows_it() -> None:
    good = demo_record().good
    assert good is not None
    view = RolloutView.read(good.view)
    assert view.state == "promoted"
    assert view.requests == good.requests
    assert [rail.rail for rail in view.rails] == [name.value for name in RailName]
    assert all(rail.is_proven and not rail.is_breached for rail in view.rails)
    assert len(view.history) == len(good.view["history"])
    assert view.history[-1].requests == view.requests


def test_a_point_of_the_history_is_read_as_the_controller_writes_it() -> None:
    point = HistoryPoint(40, tuple(RailPoint(2.0, 0.5, -1.0) for _ in RailName))
    read = RolloutView.read({"history": [point.to_json()]}).history[0]
    assert read.requests == 40
    assert set(read.harm) == set(read.proof) == set(read.difference) == {name.value for name in RailName}
    assert (read.harm["cost"], read.proof["cost"], read.difference["cost"]) == (2.0, 0.5, -1.0)


def test_a_stage_grows_after_as_many_requests_as_the_plan_asks_for_and_only_if_it_did() -> None:
    stages = [
        {"share": 0.1, "min_requests": 1000},
        {"share": 0.3, "min_requests": 500},
        {"share": 0.5, "min_requests": 1},
    ]
    states = ["gating", "canary", "canary", "rolled_back"]
    view = RolloutView.read({"plan": {"stages": stages}, "transitions": [{"state": state} for state in states]})
    assert view.growths() == [(1000.0, 0.3)]


def test_only_evidence_may_be_infinite() -> None:
    view = RolloutView.read({"rails": [{"rail": "cost", "harm": math.inf, "difference": math.inf, "margin": math.nan}]})
    assert (view.rails[0].harm, view.rails[0].difference, view.rails[0].margin) == (math.inf, None, None)


@given(st.dictionaries(KEYS, JSON))
def test_a_view_of_any_shape_is_read_and_shown(document: dict[str, Any]) -> None:
    view = RolloutView.read(document)
    assert all(math.isfinite(point.requests) for point in view.history)
    assert "failed requests" in rollout_part("any", "about", RolloutFigures(document, 1.0, 2, 0, 3.0, None))
