"""Following a rollout: until it is over, through a platform that is away for a while, and left before the end."""

from collections.abc import Iterator
from typing import Any

import pytest

from evolving_ai._common.clock import ManualClock
from evolving_ai.cli.rollout_follow import FollowView, follow
from evolving_ai.errors import PlatformError, RequestError
from tests.doubles.rollout_views import gate_view, rollout_view, transition_view

AWAY = PlatformError("the platform is not running")
BUSY = RequestError("control_unavailable", "control is away")


class Platform:
    """Answers looks one after the other; the last answer for ever. Time passes while nobody looks."""

    def __init__(self, *answers: Any) -> None:
        self.clock = ManualClock()
        self._answers: Iterator[Any] = iter(answers)
        self._last: Any = None
        self.shown: list[str] = []

    def look(self) -> dict[str, Any]:
        self._last = next(self._answers, self._last)
        if isinstance(self._last, BaseException):
            raise self._last
        view: dict[str, Any] = self._last
        return view

    def follow(self) -> dict[str, Any]:
        return follow(
            self.look, lambda view: self.shown.append(view["state"]), clock=self.clock, pause=self.clock.advance
        )


@pytest.mark.parametrize("end", ["promoted", "rolled_back", "refused", "stopped"])
def test_it_is_followed_to_its_end(end: str) -> None:
    platform = Platform(rollout_view(state="gating"), rollout_view(), rollout_view(state=end))

    assert platform.follow()["state"] == end
    assert platform.shown == ["gating", "canary", end]


def test_a_platform_that_is_away_for_a_while_is_waited_for() -> None:
    platform = Platform(rollout_view(), AWAY, BUSY, AWAY, rollout_view(state="promoted"))

    assert platform.follow()["state"] == "promoted"
    assert platform.shown == ["canary", "promoted"]


@pytest.mark.parametrize("error", [AWAY, BUSY])
def test_a_platform_that_stays_away_is_given_up(error: Exception) -> None:
    platform = Platform(rollout_view(), error)

    with pytest.raises(type(error)):
        platform.follow()
    assert 60 <= platform.clock.monotonic_s() < 70


def test_a_refusal_is_not_waited_out() -> None:
    platform = Platform(RequestError("permission_denied", "the role viewer may not"))

    with pytest.raises(RequestError, match="may not"):
        platform.follow()
    assert platform.clock.monotonic_s() == 0


def notes(capsys: pytest.CaptureFixture[str]) -> list[str]:
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


def test_gates_and_steps_are_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    gates = [gate_view(), gate_view("hold_out", passed=False, detail="4 points worse")]
    steps = [transition_view("canary", share=0.1, reason="every gate passed"), transition_view("canary", share=0.5)]
    with FollowView("rollout-0000000001", ManualClock()) as view:
        view.show(rollout_view(gates=gates, transitions=steps[:1]))
        view.show(rollout_view(gates=gates, transitions=steps[:1]))
        view.show(rollout_view(gates=gates, transitions=steps, share=0.5))

    assert notes(capsys) == [
        "gate genome passed: 6 genes are legal",
        "gate hold_out vetoed: 4 points worse",
        "canary, 10 % of the requests: every gate passed",
        "canary, 50 % of the requests",
    ]


def test_a_line_comes_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    clock = ManualClock()
    with FollowView("rollout-0000000001", clock) as view:
        for _ in range(21):
            view.show(rollout_view(gates=[], transitions=[]))
            clock.advance(0.5)

    told = notes(capsys)
    assert len(told) == 2
    assert told[0].startswith("canary, 10 % of the requests: 120 canary and 1,034 control requests")


def test_who_has_to_approve_is_told_how(capsys: pytest.CaptureFixture[str]) -> None:
    waiting = rollout_view(state="awaiting_approval", transitions=[transition_view("awaiting_approval")])
    with FollowView("rollout-0000000001", ManualClock()) as view:
        view.show(waiting)
        view.show(waiting)

    assert notes(capsys)[-1] == "`evolving-ai rollout approve rollout-0000000001` lets it go on"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), AWAY])
def test_leaving_before_the_end_says_that_it_goes_on(capsys: pytest.CaptureFixture[str], error: BaseException) -> None:
    with pytest.raises(type(error)), FollowView("rollout-0000000001", ManualClock()):
        raise error

    (said,) = notes(capsys)
    assert said.startswith(
        "rollout-0000000001 is left as it is: `evolving-ai rollout status rollout-0000000001 --follow`"
    )
