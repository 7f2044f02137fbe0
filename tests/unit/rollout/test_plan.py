"""What a rollout may be asked to do."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.errors import UsageError
from evolving_ai.rollout.plan import Margins, RolloutPlan, Stage

NAN, INF = float("nan"), float("inf")
SHARES = st.lists(st.floats(0.001, 0.999), min_size=1, max_size=5, unique=True).map(sorted)


@given(SHARES, st.integers(1, 10**6), st.floats(0.001, 0.5), st.booleans())
def test_a_plan_comes_back_from_its_json(
    shares: list[float], requests: int, alpha: float, needs_approval: bool
) -> None:
    stages = tuple(Stage(share, requests) for share in shares)
    plan = RolloutPlan(stages, alpha=alpha, max_requests=requests * len(stages), needs_approval=needs_approval)

    assert RolloutPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_what_is_left_out_is_as_by_default() -> None:
    assert RolloutPlan.from_json({}) == RolloutPlan()
    assert RolloutPlan.from_json({"margins": {"cost": 0.2}}).margins.quality == RolloutPlan().margins.quality


@pytest.mark.parametrize(
    "shares", [[], [0.5, 0.1], [0.1, 0.1], [0.0], [1.0], [-0.1], [NAN], [0.1, NAN], [INF], [9e-5], [0.99991]]
)
def test_shares_grow_between_0_and_1(shares: list[float]) -> None:
    with pytest.raises(UsageError, match=r"expected growing numbers from 0\.0001 to 0\.9999"):
        RolloutPlan(tuple(Stage(share, 1) for share in shares))


def test_the_ends_of_the_ranges_are_allowed() -> None:
    margins = Margins(cost=100.0, saving=0.0, quality=1e-6)
    plan = RolloutPlan((Stage(0.0001, 1), Stage(0.9999, 2**53)), margins=margins, alpha=1e-6, max_requests=2**53)
    assert RolloutPlan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize(
    "document",
    [
        {"stages": [{"share": 0.1, "min_requests": 0}]},
        {"stages": [{"share": 0.1, "min_requests": 1.5}]},
        {"stages": [{"share": 0.1, "min_requests": True}]},
        {"stages": [{"share": 0.1}]},
        {"stages": [[0.1, 5]]},
        {"stages": None},
        {"margins": {"quality": NAN}},
        {"margins": {"quality": 0.0}},
        {"margins": {"cost": INF}},
        {"margins": {"cost": 100.1}},
        {"margins": {"cost": 0.0}},
        {"margins": {"quality": 1.0}},
        {"margins": {"saving": -0.1}},
        {"margins": {"speed": 0.1}},
        {"margins": None},
        {"alpha": 0.0},
        {"alpha": 0.6},
        {"alpha": 9e-7},
        {"alpha": NAN},
        {"max_requests": NAN},
        {"max_requests": "5"},
        {"max_requests": 0},
        {"max_requests": 2**53 + 1},
        {"stages": [{"share": 0.1, "min_requests": 2**53 + 1}]},
        {"needs_approval": "no"},
        {"stage": []},
    ],
)
def test_what_cannot_be_a_plan_is_refused_in_one_line(document: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        RolloutPlan.from_json(document)
    assert "\n" not in str(caught.value)
