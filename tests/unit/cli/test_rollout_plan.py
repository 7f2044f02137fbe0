"""The plan that `rollout start` asks for: a file, options that go before it, and what cannot be a plan."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from evolving_ai.cli.rollout_plan import MarginsInFile, PlanFile, asked_plan
from evolving_ai.errors import DataError, UsageError
from evolving_ai.rollout.plan import RolloutPlan

WHOLE: dict[str, Any] = {
    "stages": [{"share": 0.2, "min_requests": 300}, {"share": 0.6, "min_requests": 700}],
    "margins": {"quality": 0.02, "errors": 0.005, "slow": 0.04, "cost": 0.2, "saving": 0.1},
    "alpha": 0.1,
    "max_requests": 9000,
    "needs_approval": True,
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(WHOLE))
    return path


def test_what_nobody_asks_for_is_left_to_the_platform() -> None:
    assert asked_plan(None) == {}


def test_a_file_is_sent_as_it_stands(file: Path) -> None:
    assert asked_plan(file) == WHOLE


def test_an_empty_file_asks_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text("# later\n")
    assert asked_plan(tmp_path / "plan.yaml") == {}


def test_a_file_may_have_every_key_of_a_plan() -> None:
    plan = RolloutPlan().to_json()
    assert set(PlanFile.model_fields) == plan.keys()
    assert set(MarginsInFile.model_fields) == plan["margins"].keys()


def test_options_go_before_the_file_and_leave_the_rest_of_it(file: Path) -> None:
    asked = asked_plan(file, share="0.3", quality_points=5, alpha=0.01)

    assert asked == {
        **WHOLE,
        "stages": [{"share": 0.3, "min_requests": 300}],
        "margins": {**WHOLE["margins"], "quality": 0.05},
        "alpha": 0.01,
    }


def test_more_shares_than_stages_take_as_many_requests_as_the_last() -> None:
    stages = asked_plan(None, share="0.05, 0.25,0.5")["stages"]

    assert [stage["share"] for stage in stages] == [0.05, 0.25, 0.5]
    assert [stage["min_requests"] for stage in stages] == [1000, 2000, 2000]


def test_approval_is_asked_for_by_an_option() -> None:
    assert asked_plan(None, needs_approval=True) == {"needs_approval": True}


@pytest.mark.parametrize(
    "text", ["", "a", "0.1,", "0.1;0.5", "nan", "0.1,inf", "0.5,0.1", "0.1,0.1", "0,0.5", "1", "-1"]
)
def test_shares_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected growing"):
        asked_plan(None, share=text)


@pytest.mark.parametrize("options", [{"alpha": 0.0}, {"alpha": float("nan")}, {"alpha": 1.0}])
def test_an_alpha_that_cannot_be_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="alpha is"):
        asked_plan(None, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("points", [0.0, -3.0, 100.0, float("nan")])
def test_a_quality_margin_that_cannot_be_is_refused(points: float) -> None:
    with pytest.raises(UsageError, match="the margin quality is"):
        asked_plan(None, quality_points=points)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alhpa: 0.1", "did you mean alpha"),
        ("margins: {qualty: 0.1}", "did you mean quality"),
        ("- 1", "expected a mapping"),
        ("stages: 0.1", "stages cannot be 0.1"),
        ("stages: [0.1]", "stages.0 cannot be 0.1"),
        ("stages: [{share: 0.1}]", "stages.0.min_requests is missing"),
        ("stages: [{share: 0.1, min_requests: 1.5}]", "stages.0.min_requests cannot be 1.5"),
        ("stages: [{share: .nan, min_requests: 1}]", "stages.0.share cannot be nan"),
        ("stages: []", "expected growing"),
        ("margins: {quality: null}", "margins.quality cannot be None"),
        ("alpha: '0.1'", "alpha cannot be '0.1'"),
        ("needs_approval: 2026-01-01", "needs_approval cannot be"),
        ("max_requests: 0", "max_requests is 0"),
        ("a: [", "is not YAML"),
    ],
)
def test_a_file_that_is_no_plan_is_told_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        asked_plan(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        asked_plan(tmp_path / "absent.yaml")
