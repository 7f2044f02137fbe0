"""What people see of a rollout."""

from typing import Any

import pytest

from evolving_ai.cli.rollout_view import describe, is_over, print_rollout, print_rollouts, standing
from evolving_ai.domain.rollout import RolloutState
from evolving_ai.rollout.evidence import ArmFigures, RailName
from tests.doubles.rollout_views import gate_view, rail_view, rollout_view, transition_view


def cells(text: str, first: str) -> list[str]:
    """The line that begins with a word, in cells."""
    (line,) = [line for line in text.splitlines() if line.split()[:1] == [first]]
    return line.split()


def printed(view: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> str:
    print_rollout(view)
    return capsys.readouterr().out


@pytest.mark.parametrize("state", list(RolloutState))
def test_a_rollout_is_over_where_no_transition_leads_on(state: RolloutState) -> None:
    assert is_over(rollout_view(state=state.value)) == state.is_over


def test_a_state_is_said_in_words_with_the_share_of_a_canary() -> None:
    assert standing(rollout_view(share=0.125)) == "canary, 12.5 % of the requests"
    assert standing(rollout_view(state="awaiting_approval")) == "awaiting approval"
    assert standing(rollout_view(state="rolled_back", share=0.1)) == "rolled back"


def test_a_canary_in_one_line_names_the_guard_rails_that_matter() -> None:
    rails = [
        rail_view(RailName.QUALITY, proof=4.0),
        rail_view(RailName.COST, proof=3.0, is_proven=True),
        rail_view(RailName.LATENCY, proof=12.3456, harm=8.0),
    ]

    assert describe(rollout_view(rails=rails)) == "1 of 3 guard rails proven, quality 4/20, against it latency 8/80"
    proven = [{**rail, "is_proven": True} for rail in rails]
    assert describe(rollout_view(rails=proven)) == "3 of 3 guard rails proven, against it latency 8/80"
    assert describe(rollout_view(rails=[])) == "0 of 0 guard rails proven"


def test_a_guard_rail_is_a_row_with_both_arms_and_the_evidence(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(rollout_view(rails=[rail_view(harm=1234.5678, harm_threshold=80.0, is_breached=True)]), capsys)

    assert cells(text, "quality") == (
        ["quality", "71.25", "(120)", "70", "(1034)", "-1.25", "3", "points", "of", "100", "1.23e+03/80", "5/20"]
    )


def test_the_unit_of_cost_is_short(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(rollout_view(rails=[rail_view(RailName.COST, unit="USD per 1,000 requests")]), capsys)

    assert cells(text, "cost")[7] == "$/1k"


def test_a_guard_rail_without_observations_has_empty_cells(capsys: pytest.CaptureFixture[str]) -> None:
    none = ArmFigures(0, None)
    text = printed(rollout_view(rails=[rail_view(canary=none, control=none, difference=None, margin=None)]), capsys)

    assert cells(text, "quality")[:2] == ["quality", "points"]


def test_everything_about_a_rollout_that_was_rolled_back_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    reason = "quality: 17.2 points worse than the live DNA"
    view = rollout_view(
        state="rolled_back",
        reason=reason,
        gates=[gate_view(), gate_view("hold_out", passed=False, detail="4 points worse")],
        rails=[rail_view(is_proven=True)],
        requests={"canary": 143, "control": 1290},
        transitions=[transition_view("canary", share=0.1), transition_view("rolled_back", reason=reason)],
        exchange={"breach_at": "2026-01-01T12:00:00+00:00", "told_at": "2026-01-01T12:00:00+00:00", "seconds": 0.0424},
    )

    text = printed(view, capsys)

    lines = text.splitlines()
    assert lines[0] == f"rollout    rollout-0000000001: rolled back: {reason}"
    assert "candidate  dna dddddddddddd (commit cccccccccccc)" in lines
    assert "incumbent  dna 222222222222 (commit 111111111111)" in lines
    assert "started    2026-01-01 12:00:00 by local-admin" in lines
    assert "requests   143 canary, 1,290 control" in lines
    assert "exchange   every replica was told 0.042 s after the verdict" in lines
    assert cells(text, "hold_out")[1] == "vetoed"
    assert cells(text, "genome")[1] == "passed"
    assert [line.split()[2:4] for line in lines[-2:]] == [["canary", "10"], ["rolled_back", "local-admin"]]


def test_a_rollout_that_has_just_begun_has_no_tables(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(rollout_view(state="gating", transitions=[]), capsys)

    assert "guard rail" not in text
    assert "gate " not in text
    assert "ended" not in text


def test_what_was_said_by_others_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(rollout_view(reason="\x1b[2Jgone", gates=[gate_view(detail="[red]\x1b[31m")]), capsys)

    assert "\x1b" not in text
    assert "\\x1b[2Jgone" in text


def test_a_list_has_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    print_rollouts([rollout_view("rollout-0000000002"), rollout_view(state="refused", reason="gate hold_out: worse")])

    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:7] == ["rollout-0000000002", "canary,", "10", "%", "of", "the", "requests"]
    assert lines[2].endswith("gate hold_out: worse")
