"""What a rollout may be asked to do."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.errors import UsageError
from evolving_ai.rollout.plan import Margins, RolloutPlan, Stage

NAN = float("nan")
SHARES = st.floats(0.001, 0.999)
PLANS = st.builds(
    RolloutPlan,
    stages=st.lists(SHARES, min_size=1, max_size=4, unique=True).map(
        lambda shares: tuple(Stage(share, number) for number, share in enumerate(sorted(shares), 1))
    ),
    margins=st.builds(Margins, quality=SHARES, errors=SHARES, slow=SHARES, cost=st.floats(0.01, 10), saving=SHARES),
    alpha=st.floats(0.001, 0.5),
    max_requests=st.integers(1, 10**7),
    needs_approval=st.booleans(),
)


@given(plan=PLANS)
def test_a_plan_is_what_its_document_says(plan: RolloutPlan) -> None:
    assert RolloutPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_what_is_left_out_is_as_by_default() -> None:
    document = {"alpha": 0.01, "margins": {"quality": 0.05}}
    assert RolloutPlan.from_json(document) == RolloutPlan(alpha=0.01, margins=Margins(quality=0.05))


@pytest.mark.parametrize(
    "document",
    [
        {"alpha": 0},
        {"alpha": 0.6},
        {"alpha": NAN},
        {"alpha": "small"},
        {"max_requests": 0},
        {"max_requests": NAN},
        {"stages": []},
        {"stages": [{"share": 0.0, "min_requests": 1}]},
        {"stages": [{"share": 1.0, "min_requests": 1}]},
        {"stages": [{"share": NAN, "min_requests": 1}]},
        {"stages": [{"share": 0.5, "min_requests": 0}]},
        {"stages": [{"share": 0.5, "min_requests": NAN}]},
        {"stages": [{"share": 0.5, "min_requests": 9}, {"share": 0.1, "min_requests": 9}]},
        {"stages": [{"share": 0.5}]},
        {"stages": 3},
        {"margins": {"quality": 0}},
        {"margins": {"quality": 1}},
        {"margins": {"cost": NAN}},
        {"margins": {"saving": -0.1}},
        {"margins": {"beauty": 0.1}},
        {"margins": None},
        {"speed": 1},
    ],
)
def test_what_cannot_be_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        RolloutPlan.from_json(document)
