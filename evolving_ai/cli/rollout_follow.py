"""Following a rollout until it is over. Whoever follows only looks: leaving changes nothing."""

import sys
from collections.abc import Callable
from typing import Any, Self

from evolving_ai._common.clock import Clock
from evolving_ai.cli.output import note
from evolving_ai.cli.rollout_view import describe, is_over, standing
from evolving_ai.domain.problem import PROBLEMS
from evolving_ai.errors import EvolvingAIError, PlatformError, RequestError

__all__ = ["FollowView", "follow"]

_LOOK_EVERY_S = 0.5
_LINE_EVERY_S = 5.0
_PATIENCE_S = 60.0
"""How long the platform may be away; a control deployment that died is back before."""


def follow(
    look: Callable[[], dict[str, Any]],
    show: Callable[[dict[str, Any]], None],
    *,
    clock: Clock,
    pause: Callable[[float], object],
) -> dict[str, Any]:
    """The rollout when it is over; `show` gets every look at it until then.

    A platform that is away is waited for; its last error is raised when it stays away.
    """
    heard_s = clock.monotonic_s()
    while True:
        try:
            view = look()
        except (PlatformError, RequestError) as exc:
            if not _may_pass(exc) or clock.monotonic_s() - heard_s >= _PATIENCE_S:
                raise
        else:
            heard_s = clock.monotonic_s()
            show(view)
            if is_over(view):
                return view
        pause(_LOOK_EVERY_S)


class FollowView:
    """What happens, on stderr: each gate and each step once, between them a live bar or, elsewhere, lines.

    A context manager; left before the end, it says that the rollout goes on.
    """

    def __init__(self, rollout_id: str, clock: Clock) -> None:
        self._id = rollout_id
        self._clock = clock
        self._gates = 0
        self._transitions = 0
        self._last_line_s = clock.monotonic_s()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._bar = _new_bar()
            self._bar.start()
            self._task = self._bar.add_task("asking the gates", total=None)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        if kind is not None and issubclass(kind, KeyboardInterrupt | EvolvingAIError):
            note(
                f"{self._id} is left as it is: `evolving-ai rollout status {self._id} --follow` follows it, "
                f"`evolving-ai rollout stop {self._id}` ends it"
            )

    def show(self, view: dict[str, Any]) -> None:
        """One look."""
        for gate in view["gates"][self._gates :]:
            note(f"gate {gate['name']} {'passed' if gate['passed'] else 'vetoed'}: {gate['detail']}")
        for step in view["transitions"][self._transitions :]:
            note(f"{standing({**view, **step})}{': ' * bool(step['reason'])}{step['reason']}")
        has_news = len(view["transitions"]) > self._transitions
        self._gates, self._transitions = len(view["gates"]), len(view["transitions"])
        if has_news and view["state"] == "awaiting_approval":
            note(f"`evolving-ai rollout approve {self._id}` lets it go on")
        if self._bar is not None:
            self._move_bar(view)
        elif not has_news and self._clock.monotonic_s() - self._last_line_s >= _LINE_EVERY_S:
            self._last_line_s = self._clock.monotonic_s()
            note(_line(view))

    def _move_bar(self, view: dict[str, Any]) -> None:
        done = view["requests"]["canary"] + view["requests"]["control"]
        needed = sum(stage["min_requests"] for stage in view["plan"]["stages"])
        # Before the canary nothing can be counted; past the least number of requests it is the evidence that lacks.
        is_canary = view["state"] == "canary"
        text = describe(view) if is_canary else standing(view)
        self._bar.update(self._task, completed=done, total=max(needed, done) if is_canary else None, description=text)


def _line(view: dict[str, Any]) -> str:
    if view["state"] != "canary":
        return standing(view)
    requests = view["requests"]
    counted = f"{requests['canary']:,} canary and {requests['control']:,} control requests"
    return f"{standing(view)}: {counted}, {describe(view)}"


def _may_pass(exc: PlatformError | RequestError) -> bool:
    return isinstance(exc, PlatformError) or PROBLEMS[exc.code].is_retryable


def _new_bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(bar_width=10), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    return Progress(*columns, console=Console(stderr=True), transient=True)
