"""The controller of a canary: it sees one observation after another and rules after each. Pure: no clock, no I/O.

Harm on any rail rolls back: each rail has `alpha / 4`, so a candidate that does no harm is rolled back for harm with
probability `alpha` at most.

Promotion needs proof on every rail, each at `alpha`, so a candidate that is worse than a margin allows on any rail is
promoted with probability `alpha` at most (intersection-union). For cost, that is the mean where a request counts as ten
times the live DNA's first mean at most; that the mean of what was paid is as low is a further condition, without a
bound. So is that both arms are rated about as often: where the ratings of one are missing, its mean is that of other
requests. All this holds over the whole rollout however often it is looked at, also as its share grows. While harm is
suspected, it does not grow.
"""

from collections.abc import Mapping
from typing import Any

from evolving_ai.errors import DataError
from evolving_ai.rollout.evidence import HistoryPoint, Observation, RailEvidence, RailName, RailPoint, Ruling, Verdict
from evolving_ai.rollout.guard_rail import GuardRail, RailBounds
from evolving_ai.rollout.plan import RolloutPlan
from evolving_ai.rollout.reasons import (
    breach_reason,
    growth_reason,
    promotion_reason,
    unproven_reason,
)
from evolving_ai.rollout.seen_units import SeenUnits
from evolving_ai.rollout.yardstick import CAP_IN_MEANS, CostYardstick, PlainYardstick, SlowYardstick, Yardstick

__all__ = ["RolloutController"]

_MOST_POINTS = 256
_SUSPICION = 4.0
"""Evidence of harm with which no share grows. A rail without harm ever has it with probability 1/4 at most."""
_ALIKE = 0.9
"""How often the requests of one arm are rated, as a share of the other's, at least: or nothing is promoted."""
_FIRST_STRIDE = 8
_GO_ON = Ruling(Verdict.GO_ON)
_TYPICAL_SAVING = 0.3
"""As a share of the live DNA's cost: what the bettors on a saving believe in."""


def _guard_rails(plan: RolloutPlan) -> tuple[GuardRail, ...]:
    """In the order of `RailName`."""
    margins, harm, proof = plan.margins, len(RailName) / plan.alpha, 1.0 / plan.alpha
    mean_cost = 1.0 / CAP_IN_MEANS
    cost = RailBounds(
        margins.cost * mean_cost,
        0.0 - margins.saving * mean_cost,
        _TYPICAL_SAVING * mean_cost,
        mean_cost,
        most_ratio=1.0 - margins.saving,
    )
    rails: dict[RailName, tuple[RailBounds, Yardstick]] = {
        RailName.QUALITY: (RailBounds(margins.quality, margins.quality, margins.quality, 0.5), PlainYardstick()),
        RailName.COST: (cost, CostYardstick()),
        RailName.LATENCY: (RailBounds(margins.slow, margins.slow, margins.slow, 0.05), SlowYardstick()),
        RailName.ERRORS: (RailBounds(margins.errors, margins.errors, margins.errors, 0.01), PlainYardstick()),
    }
    return tuple(GuardRail(name, *rails[name], harm_threshold=harm, proof_threshold=proof) for name in RailName)


class RolloutController:
    """Rules over one rollout. Requests are counted by the observations that say whether they failed.

    `stage` is the index of the current stage, `share` its share of the requests.
    """

    __slots__ = (
        "_arrived", "_canary", "_control", "_cost", "_errors", "_final", "_history", "_latency", "_measured", "_plan",
        "_quality", "_rails", "_scored", "_stage_requests", "_stride", "stage",
    )  # fmt: skip

    def __init__(self, plan: RolloutPlan) -> None:
        self._plan = plan
        self._rails = _guard_rails(plan)
        self._quality, self._cost, self._latency, self._errors = self._rails
        self._canary = 0
        self._control = 0
        self._arrived = SeenUnits()
        self._measured = SeenUnits()
        self._scored = SeenUnits()
        self._stage_requests = 0
        self._final: Ruling | None = None
        self._history: list[HistoryPoint] = []
        self._stride = _FIRST_STRIDE
        self.stage = 0

    @property
    def share(self) -> float:
        return self._plan.stages[self.stage].share

    @property
    def counts(self) -> tuple[int, int]:
        """How many requests the canary and the control had."""
        return self._canary, self._control

    @property
    def history(self) -> tuple[HistoryPoint, ...]:
        """The rails after evenly spaced numbers of requests, and at the end; a few hundred points at most."""
        return tuple(self._history)

    def evidence(self) -> tuple[RailEvidence, ...]:
        """Every rail, in the order of `RailName`."""
        return tuple(rail.evidence() for rail in self._rails)

    def observe(self, observation: Observation) -> Ruling:
        """Take one observation. After a final ruling nothing changes any more, and the ruling stays.

        ValueError for a share that is not between 0 and 1: its request was not assigned by chance.
        """
        if self._final is not None:
            return self._final
        if not 0.0 < observation.share < 1.0:
            raise ValueError(f"a request with the share {observation.share}: expected more than 0, less than 1")
        self._take(observation)
        ruling = self._ruling()
        if ruling.verdict in (Verdict.PROMOTE, Verdict.ROLL_BACK):
            self._final = ruling
            self._note()
        return ruling

    def _take(self, observation: Observation) -> None:
        """What is first is so for each of three: a unit whose first request wasn't measured yet isn't used up."""
        is_canary, share, score, cost_usd, latency_s, has_failed, unit = observation
        if score is not None:
            is_first = unit is None or self._scored.add(unit)
            self._quality.observe(1.0 - score, is_canary=is_canary, share=share, is_first=is_first)
        if not (cost_usd is None and latency_s is None and has_failed is None):  # more than a late score
            is_settled = self._cost.is_settled and self._latency.is_settled
            is_first = unit is None or (is_settled and self._measured.add(unit))
            if cost_usd is not None:
                self._cost.observe(cost_usd, is_canary=is_canary, share=share, is_first=is_first)
            if latency_s is not None:
                self._latency.observe(latency_s, is_canary=is_canary, share=share, is_first=is_first)
        if has_failed is not None:
            is_first = unit is None or self._arrived.add(unit)
            self._errors.observe(float(has_failed), is_canary=is_canary, share=share, is_first=is_first)
            self._count(is_canary=is_canary, share=share)

    def _count(self, *, is_canary: bool, share: float) -> None:
        # One that was assigned before the share grew is evidence, but tells nothing of how the new share is borne.
        self._stage_requests += share == self.share
        if is_canary:
            self._canary += 1
        else:
            self._control += 1
        if not (self._canary + self._control) % self._stride:
            self._note()

    def _note(self) -> None:
        """Another point of the history; when there are too many, every second of them goes."""
        points = tuple(RailPoint(rail.harm.value, rail.proof.value, rail.difference) for rail in self._rails)
        requests = self._canary + self._control
        if self._history and self._history[-1].requests == requests:
            self._history.pop()
        self._history.append(HistoryPoint(requests, points))
        if len(self._history) >= _MOST_POINTS and self._final is None:
            self._stride *= 2
            self._history = [point for point in self._history if not point.requests % self._stride]

    def _ruling(self) -> Ruling:
        quality, cost, latency, errors = self._rails
        if quality.harm.is_decided or cost.harm.is_decided or latency.harm.is_decided or errors.harm.is_decided:
            return Ruling(Verdict.ROLL_BACK, breach_reason(self.evidence(), self._canary))
        requests = self._canary + self._control
        stages = self._plan.stages
        is_through = self._stage_requests >= stages[self.stage].min_requests
        is_last = self.stage == len(stages) - 1
        if is_through and not is_last and not self._is_suspected:
            return self._grown(requests)
        is_proven = quality.is_proven and cost.is_proven and latency.is_proven and errors.is_proven
        if is_through and is_last and is_proven and self._is_rated_alike:
            return Ruling(Verdict.PROMOTE, promotion_reason(self.evidence(), requests))
        if requests >= self._plan.max_requests:
            return Ruling(Verdict.ROLL_BACK, unproven_reason(self.evidence(), requests))
        return _GO_ON

    @property
    def _is_suspected(self) -> bool:
        return any(rail.harm.value >= _SUSPICION for rail in self._rails)

    @property
    def _is_rated_alike(self) -> bool:
        """Whether as many of the canary's requests are rated as of the control's, about."""
        canary, control = self._quality.counts
        return min(canary * self._control, control * self._canary) >= _ALIKE * max(
            canary * self._control, control * self._canary
        )

    def _grown(self, requests: int) -> Ruling:
        if requests >= self._plan.max_requests:
            return Ruling(Verdict.ROLL_BACK, unproven_reason(self.evidence(), requests))
        before = self.share
        self.stage += 1
        self._stage_requests = 0
        return Ruling(Verdict.GROW, growth_reason(before, self.share, requests))

    def to_json(self) -> dict[str, Any]:
        """A checkpoint: what `from_json` goes on from, exactly."""
        return {
            "stage": self.stage,
            "stage_requests": self._stage_requests,
            "canary": self._canary,
            "control": self._control,
            "arrived": self._arrived.to_json(),
            "measured": self._measured.to_json(),
            "scored": self._scored.to_json(),
            "stride": self._stride,
            "final": None if self._final is None else [self._final.verdict.value, self._final.reason],
            "rails": {rail.name.value: rail.to_json() for rail in self._rails},
            "history": [point.to_json() for point in self._history],
        }

    @classmethod
    def from_json(cls, plan: RolloutPlan, document: Mapping[str, Any]) -> "RolloutController":
        """The controller of `plan` that `to_json` was called on. DataError when the document is something else."""
        controller = cls(plan)
        try:
            controller._restore(document)
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise DataError(f"this is no checkpoint of a rollout under this plan: {exc!r}") from exc
        return controller

    def _restore(self, document: Mapping[str, Any]) -> None:
        self.stage = range(len(self._plan.stages)).index(document["stage"])
        self._stage_requests = int(document["stage_requests"])
        self._canary = int(document["canary"])
        self._control = int(document["control"])
        self._arrived.restore(document["arrived"])
        self._measured.restore(document["measured"])
        self._scored.restore(document["scored"])
        self._stride = int(document["stride"])
        if document["final"] is not None:
            verdict, reason = document["final"]
            self._final = Ruling(Verdict(verdict), reason)
        for rail in self._rails:
            rail.restore(document["rails"][rail.name.value])
        self._history = [HistoryPoint.from_json(point) for point in document["history"]]
