"""The campaign of the demonstration: a file that is a campaign file, progress from its status, errors in a line."""

import json
from pathlib import Path
from typing import Any

import pytest

from evolving_ai.demo.evolution_step import campaign_document, evolve
from evolving_ai.errors import PlatformError
from evolving_ai.wiring.campaign_file import read_campaign_file
from tests.doubles.demo_world import FakePlatform, HeardTeller, demonstration


def status(state: str, **changes: Any) -> dict[str, Any]:
    return {"state": state, "reason": "why", "iterations": 3, "max_iterations": 9, "best": {"quality": 70.0}, **changes}


def platform_with(home: Path, *statuses: dict[str, Any]) -> FakePlatform:
    answers: dict[tuple[str, str], list[Any]] = {
        ("POST", "/api/v1/evolution/start"): [{"id": "demo-1"}],
        ("GET", "/api/v1/evolution/status/demo-1"): list(statuses),
    }
    return FakePlatform(home, answers)


def test_the_campaign_file_can_be_read_and_starts_from_what_is_live(tmp_path: Path) -> None:
    file = tmp_path / "campaign.yaml"
    file.write_text(json.dumps(campaign_document(demonstration(), tmp_path / "table.parquet")))
    campaign = read_campaign_file(file)

    assert (campaign.start_from, campaign.evals, campaign.seed) == ("main", 120, 7)
    assert campaign.operating_point.max_cost_share == 0.35
    assert campaign.data == tmp_path / "table.parquet"


def test_a_campaign_that_fails_is_told_in_a_line(tmp_path: Path) -> None:
    demo = demonstration(platform_with(tmp_path, status("running"), status("failed")))
    with pytest.raises(PlatformError, match="campaign demo-1 ended as failed: why"):
        evolve(demo, tmp_path / "table.parquet")

    assert isinstance(demo.teller, HeardTeller)
    assert demo.teller.shown[0] == "3/9 candidates, best quality so far 70.0 of 100; 0 requests"
    assert [mark.label for mark in demo.record.marks] == ["campaign begins", "campaign ends"]


def test_a_campaign_that_does_not_end_is_told_in_a_line(tmp_path: Path) -> None:
    demo = demonstration(platform_with(tmp_path, status("running")))
    with pytest.raises(PlatformError, match="campaign demo-1 did not end within 240 s"):
        evolve(demo, tmp_path / "table.parquet")
