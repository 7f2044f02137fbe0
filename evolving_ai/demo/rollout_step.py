"""Step 4: the winner goes live as a canary, and the held-out questions are asked of it meanwhile."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from evolving_ai.demo.demonstration import Demonstration
from evolving_ai.demo.record import RolloutFigures
from evolving_ai.domain.rollout import RolloutState
from evolving_ai.errors import PlatformError

__all__ = ["follow_rollout", "roll_out_winner", "why_ended"]

_DNA_HEADER = "x-evolving-dna"
_LOOK_EVERY_S = 0.5
_WRITTEN_WITHIN_S = 3.0


def roll_out_winner(demo: Demonstration, ref: str, at_canary: Callable[[Mapping[str, str]], None]) -> None:
    """Fill `record.good`. `at_canary` is given the headers that ask for the candidate, once it may be asked for.

    PlatformError when it is not promoted.
    """
    demo.traffic.set_rate(demo.settings.rollout_rate)
    figures = follow_rollout(demo, ref, "the winner of the campaign", at_canary)
    demo.record.good = figures
    view = figures.view
    if view["state"] != RolloutState.PROMOTED:
        raise PlatformError(f"the evolved DNA was not promoted: {view['state']} ({why_ended(view)})")
    if figures.requests_per_s < demo.settings.least_rollout_rate:
        demo.teller.tell(f"this machine was slow: fewer than {demo.settings.least_rollout_rate:g} requests/s")
    requests = view["requests"]
    demo.teller.tell(
        f"promoted after {requests['canary']:,} canary and {requests['control']:,} control requests in "
        f"{figures.seconds:.0f} s, at {figures.requests_per_s:.0f} requests/s; {figures.failed} failed"
    )


def follow_rollout(
    demo: Demonstration, ref: str, reason: str, at_canary: Callable[[Mapping[str, str]], None] | None = None
) -> RolloutFigures:
    """Start a rollout and follow it to its end, whatever that is."""
    before, started_s = demo.traffic.log.tally, demo.clock.monotonic_s()
    rollout = demo.ask("POST", "/api/v1/rollouts", {"ref": ref, "reason": reason})
    path = f"/api/v1/rollouts/{rollout['id']}"
    told = _Told(demo, path)
    demo.wait_until(
        lambda: told.look()["state"] != RolloutState.GATING,
        demo.settings.rollout_within_s,
        "the gates of the rollout did not answer",
        every_s=_LOOK_EVERY_S,
    )
    if at_canary is not None and told.view["state"] == RolloutState.CANARY:
        _ask_candidate(told, at_canary)
    demo.wait_until(
        lambda: RolloutState(told.look()["state"]).is_over,
        demo.settings.rollout_within_s,
        "the rollout did not end",
        every_s=_LOOK_EVERY_S,
    )
    seconds = demo.clock.monotonic_s() - started_s
    sent = demo.traffic.log.tally.since(before)
    view = told.ended()
    return RolloutFigures(
        view=view,
        seconds=seconds,
        requests=sent.requests,
        failed=sent.failed,
        requests_per_s=sent.requests / seconds if seconds else 0.0,
        exchange_s=None if view["exchange"] is None else view["exchange"]["seconds"],
    )


def _ask_candidate(told: "_Told", at_canary: Callable[[Mapping[str, str]], None]) -> None:
    try:
        at_canary({_DNA_HEADER: told.view["candidate"]["dna_hash"]})
    except PlatformError:
        # A candidate that was rolled back meanwhile cannot be asked any more: that is what there is to tell.
        if told.look()["state"] in (RolloutState.CANARY, RolloutState.PROMOTED):
            raise


class _Told:
    """Looks at a rollout, and tells and marks what has changed."""

    def __init__(self, demo: Demonstration, path: str) -> None:
        self._demo = demo
        self._path = path
        self.view: Mapping[str, Any] = {}

    def look(self) -> Mapping[str, Any]:
        before = self.view
        self.view = self._demo.ask("GET", self._path)
        now, then = (_standing(view) for view in (self.view, before))
        if now != then:
            if self.view["state"] != RolloutState.GATING:
                self._demo.mark(now)
            if self.view["state"] == RolloutState.CANARY and then in ("", RolloutState.GATING.value):
                self._demo.teller.tell(_gates(self.view))
            self._demo.teller.tell(now)
        self._demo.teller.show(_evidence(self.view))
        return self.view

    def ended(self) -> Mapping[str, Any]:
        """The view once the rollout is over and everything is written down about it."""
        if self.view["state"] == RolloutState.ROLLED_BACK:
            with contextlib.suppress(PlatformError):  # then it is told without
                self._demo.wait_until(lambda: self.look()["exchange"] is not None, _WRITTEN_WITHIN_S, "not told")
        return self._demo.ask("GET", self._path)


def _standing(view: Mapping[str, Any]) -> str:
    if not view:
        return ""
    state = str(view["state"])
    return f"canary {view['share']:.0%}" if state == RolloutState.CANARY else state.replace("_", " ")


def _gates(view: Mapping[str, Any]) -> str:
    return f"gates passed: {', '.join(gate['name'] for gate in view['gates'])}"


def _evidence(view: Mapping[str, Any]) -> str:
    """The rails in a line: evidence for, and against, in shares of what decides."""
    requests = view.get("requests") or {"canary": 0, "control": 0}
    rails = "; ".join(
        f"{rail['rail']} harm {rail['harm']:.2g}/{rail['harm_threshold']:g} proof "
        f"{rail['proof']:.2g}/{rail['proof_threshold']:g}"
        for rail in view.get("rails", ())
    )
    return f"{requests['canary']:,} canary, {requests['control']:,} control requests; {rails or 'no evidence yet'}"


def why_ended(view: Mapping[str, Any]) -> str:
    """What a rollout says of its end, in a line."""
    vetoes = [f"gate {gate['name']}: {gate['detail']}" for gate in view["gates"] if not gate["passed"]]
    transitions = view.get("transitions") or ()
    return "; ".join(vetoes) or (transitions[-1]["reason"] if transitions else "no reason given")
