"""A rollout of the demonstration: followed to its end, told and marked, and an error where it ended otherwise."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evolving_ai.demo.demonstration import Demonstration
from evolving_ai.demo.rollout_step import follow_rollout, roll_out_winner
from evolving_ai.demo.settings import DemoSettings
from evolving_ai.errors import PlatformError
from tests.doubles.demo_world import FakePlatform, HeardTeller, demonstration, rollout_view

PATH = "/api/v1/rollouts/rollout-1"


def scripted(*views: Mapping[str, Any]) -> FakePlatform:
    return FakePlatform(
        Path("home"), {("POST", "/api/v1/rollouts"): [rollout_view("gating")], ("GET", PATH): list(views)}
    )


def told(demo: Demonstration) -> list[str]:
    assert isinstance(demo.teller, HeardTeller)
    return demo.teller.told


def test_it_is_followed_to_its_end_and_every_change_is_marked() -> None:
    views = [
        rollout_view("gating"),
        rollout_view("canary"),
        rollout_view("canary", share=0.5),
        rollout_view("canary", share=0.5),
        rollout_view("promoted"),
    ]
    demo = demonstration(scripted(*views))
    given: list[Mapping[str, str]] = []
    roll_out_winner(demo, "abcd", given.append)

    assert given == [{"x-evolving-dna": "d" * 64}]
    assert [mark.label for mark in demo.record.marks] == ["canary 10%", "canary 50%", "promoted"]
    assert demo.record.good is not None
    assert demo.record.good.view["state"] == "promoted"
    assert demo.record.good.seconds > 0
    assert "gates passed: hold_out" in told(demo)


def test_a_winner_that_is_not_promoted_is_an_error_that_says_why() -> None:
    vetoed = {"name": "cost_limit", "passed": False, "detail": "twice as dear", "figures": {}}
    with pytest.raises(PlatformError, match=r"not promoted: refused \(gate cost_limit: twice as dear\)"):
        roll_out_winner(demonstration(scripted(rollout_view("refused", gates=[vetoed]))), "abcd", lambda _: None)

    with pytest.raises(PlatformError, match=r"not promoted: rolled_back \(because of the evidence\)"):
        roll_out_winner(demonstration(scripted(rollout_view("rolled_back"))), "abcd", lambda _: None)


def test_a_candidate_that_was_rolled_back_while_it_was_asked_is_told_as_that() -> None:
    demo = demonstration(scripted(rollout_view("canary"), rollout_view("rolled_back")))

    def ask(_: Mapping[str, str]) -> None:
        raise PlatformError("a measured question was not answered: 404 not_found")

    with pytest.raises(PlatformError, match="not promoted: rolled_back"):
        roll_out_winner(demo, "abcd", ask)


def test_a_candidate_that_cannot_be_asked_during_its_canary_is_an_error() -> None:
    demo = demonstration(scripted(rollout_view("canary")))

    def ask(_: Mapping[str, str]) -> None:
        raise PlatformError("a measured question was not answered")

    with pytest.raises(PlatformError, match="a measured question was not answered"):
        roll_out_winner(demo, "abcd", ask)


def test_a_rollout_that_does_not_end_is_an_error_after_its_time() -> None:
    demo = demonstration(scripted(rollout_view("canary")), settings=DemoSettings(rollout_within_s=30))
    with pytest.raises(PlatformError, match="the rollout did not end within 30 s"):
        follow_rollout(demo, "abcd", "a reason")
    assert demo.clock.monotonic_s() == pytest.approx(30, abs=2)


def test_how_long_the_exchange_took_is_waited_for() -> None:
    exchange = {"breach_at": "", "told_at": "", "seconds": 0.04}
    over = rollout_view("rolled_back")
    demo = demonstration(scripted(rollout_view("canary"), over, over, rollout_view("rolled_back", exchange=exchange)))

    assert follow_rollout(demo, "abcd", "a reason").exchange_s == 0.04


def test_a_platform_that_ended_is_told_while_something_else_is_waited_for() -> None:
    platform = scripted(rollout_view("canary"))
    demo = demonstration(platform, while_waiting=lambda _: setattr(platform, "problem", PlatformError("it ended")))
    with pytest.raises(PlatformError, match="it ended"):
        follow_rollout(demo, "abcd", "a reason")


def test_it_makes_no_sense_to_go_on_when_too_many_requests_fail() -> None:
    def fail(demo: Demonstration) -> None:
        demo.traffic.log.failed(1.0, "503 not_ready")

    demo = demonstration(scripted(rollout_view("canary")), settings=DemoSettings(most_failures=5), while_waiting=fail)
    with pytest.raises(PlatformError, match=r"of \d+ requests failed: 503 not_ready"):
        follow_rollout(demo, "abcd", "a reason")
