"""A guard rail: two sequential tests on one bounded loss, that of the canary's requests less that of the control's.

Each request was assigned to the canary with a known probability `p`. With the means m1 and m0 that the arms had before
it, its pseudo-outcome

    Z = m1 - m0 + A (Y - m1) / p - (1 - A) (Y - m0) / (1 - p)

has, given the past, the true difference as its mean, whatever `p`, m1 and m0 are (AIPW; Waudby-Smith, Wu, Ramdas,
Karampatziakis and Mineiro, "Anytime-valid off-policy inference for contextual bandits", 2022). So one test goes on
while `p` grows, and nothing is lost of what smaller shares have shown. The means only make it less noisy.

The assignment of each request has to be by chance, given the past. Where requests stick to an arm by their user or
conversation, only the first of each is. So proof, on which a promotion stands, is made of first requests alone: the
bound on false promotion holds however few of them make most of the traffic. Harm is looked for in every request, as if
each were assigned by itself: to miss it for the sake of a bound would be worse. There, the bound on false rollback
holds to the extent that no few of them make most of the traffic.

A proof that has decided is not enough for a rail to be proven: the tests would decide on the control arm alone, too,
if it were observed for long enough. So each arm needs a few observations of its own.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from evolving_ai.rollout.evidence import ArmFigures, RailEvidence, RailName
from evolving_ai.rollout.sequential_test import HARM_BETTING, PROOF_BETTING, BettingTest
from evolving_ai.rollout.yardstick import Yardstick

__all__ = ["GuardRail", "RailBounds"]

_PRIOR_COUNT = 2.0
_ARM_PRIOR_COUNT = 10.0
_LEAST_VARIANCE = 1e-4
_LEAST_HARM_UNIT = 0.005
_LEAST_FIRSTS = 30
"""First requests that each arm needs for a rail to be proven: less say nothing of an arm, whatever the other shows."""
_REQUESTS_SHOWN = 1000.0
_UNITS: Mapping[RailName, str] = MappingProxyType(
    {
        RailName.QUALITY: "points",
        RailName.COST: "USD per 1,000 requests",
        RailName.LATENCY: "points",
        RailName.ERRORS: "points",
    }
)


class _Arm:
    """Count, sum and sum of squares of an arm's losses, the sum of what they were made of, and the first requests."""

    __slots__ = ("count", "firsts", "raw", "squares", "total")

    def __init__(self) -> None:
        self.count = 0
        self.firsts = 0
        self.raw = 0.0
        self.total = 0.0
        self.squares = 0.0

    def add(self, loss: float, raw: float, is_first: bool) -> None:
        self.count += 1
        self.firsts += is_first
        self.raw += raw
        self.total += loss
        self.squares += loss * loss

    @property
    def mean(self) -> float | None:
        return self.total / self.count if self.count else None

    @property
    def raw_mean(self) -> float | None:
        return self.raw / self.count if self.count else None

    def to_json(self) -> list[float]:
        return [self.count, self.total, self.squares, self.raw, self.firsts]

    def restore(self, document: list[float]) -> None:
        count, self.total, self.squares, self.raw, firsts = document
        self.count, self.firsts = int(count), int(firsts)


@dataclass(frozen=True, slots=True)
class RailBounds:
    """What the difference of the mean losses is held against.

    More than `margin` is harm; that it is less than `proof_margin` has to be proven. `proof_unit` is the distance from
    `proof_margin` that is worth betting on, `prior_loss` a guess of the mean loss. `most_ratio` is for values that the
    yardstick caps, where a test says something of the capped mean alone: unless the mean of the canary's raw values is
    at most that share of the control's, nothing is proven. A further condition, which is no test. None: there is none.
    """

    margin: float
    proof_margin: float
    proof_unit: float
    prior_loss: float
    most_ratio: float | None = None


class GuardRail:
    """The tests of one rail, the arms' figures, and how values become losses (`yardstick`).

    `harm_threshold` and `proof_threshold` are the e-values that decide.
    """

    __slots__ = ("_bounds", "_canary", "_control", "_yardstick", "harm", "name", "proof")

    def __init__(
        self,
        name: RailName,
        bounds: RailBounds,
        yardstick: Yardstick,
        *,
        harm_threshold: float,
        proof_threshold: float,
    ) -> None:
        self.name = name
        self._bounds = bounds
        self._yardstick = yardstick
        self._canary = _Arm()
        self._control = _Arm()
        harm_unit = max(bounds.margin, _LEAST_HARM_UNIT)
        self.harm = BettingTest(HARM_BETTING, unit=harm_unit, threshold=harm_threshold)
        self.proof = BettingTest(PROOF_BETTING, unit=bounds.proof_unit, threshold=proof_threshold)

    def observe(self, value: float, *, is_canary: bool, share: float, is_first: bool = True) -> None:
        """Take one request's value; one that is not finite says nothing. `share`: the probability of the canary.

        `is_first`: no request of its unit was taken before, so it can be part of a proof.
        """
        if not math.isfinite(value):
            return
        loss = self._yardstick.measure(value, is_canary=is_canary)
        if loss is None:
            return
        if not (self.harm.is_decided and self.proof.is_decided):
            self._bet(loss, is_canary, share, is_first)
        (self._canary if is_canary else self._control).add(loss, value, is_first)

    def _bet(self, loss: float, is_canary: bool, share: float, is_first: bool) -> None:
        control, canary = self._control, self._canary
        prior, bounds = self._bounds.prior_loss, self._bounds
        rest = 1.0 - share
        both = canary.count + control.count + _PRIOR_COUNT
        mean = _ARM_PRIOR_COUNT * (canary.total + control.total + _PRIOR_COUNT * prior) / both
        square = _ARM_PRIOR_COUNT * (canary.squares + control.squares + _PRIOR_COUNT * prior) / both
        count1, count0 = canary.count + _ARM_PRIOR_COUNT, control.count + _ARM_PRIOR_COUNT
        mean1, mean0 = (canary.total + mean) / count1, (control.total + mean) / count0
        variance = ((canary.squares + square) / count1 - mean1 * mean1) / share + (
            (control.squares + square) / count0 - mean0 * mean0
        ) / rest
        if variance < _LEAST_VARIANCE:
            variance = _LEAST_VARIANCE
        guess = mean1 - mean0
        low = guess - max(mean1 / share, (1.0 - mean0) / rest)
        high = guess + max((1.0 - mean1) / share, mean0 / rest)
        outcome = guess + ((loss - mean1) / share if is_canary else (mean0 - loss) / rest)
        self.harm.bet(outcome - bounds.margin, bounds.margin - low, variance)
        if is_first:
            self.proof.bet(bounds.proof_margin - outcome, high - bounds.proof_margin, variance)

    @property
    def counts(self) -> tuple[int, int]:
        """How many observations the canary and the control have."""
        return self._canary.count, self._control.count

    @property
    def is_settled(self) -> bool:
        """Whether the next value counts: until there is a yardstick, none does."""
        return self._yardstick.is_settled

    @property
    def is_proven(self) -> bool:
        """Whether it is shown that the canary is no worse than allowed, with enough first requests of both arms.

        While values that are capped have raw means that say otherwise, it isn't; that may change with each request.
        """
        return self.proof.is_decided and min(self._canary.firsts, self._control.firsts) >= _LEAST_FIRSTS and self._holds

    @property
    def _holds(self) -> bool:
        ratio, control, canary = self._bounds.most_ratio, self._control.raw_mean, self._canary.raw_mean
        return ratio is None or control is None or canary is None or canary <= ratio * control

    @property
    def difference(self) -> float | None:
        """The canary's mean less the control's, positive means worse, in the unit for people; None: an arm has none.

        Of losses, and where these are capped of the raw values.
        """
        control, canary = self._control, self._canary
        unit = self._yardstick.unit
        if unit is None or control.mean is None or canary.mean is None:
            return None
        if self._bounds.most_ratio is not None:
            return _REQUESTS_SHOWN * (canary.raw / canary.count - control.raw / control.count)
        return unit * (canary.mean - control.mean)

    def evidence(self) -> RailEvidence:
        """What it says now, in the unit for people."""
        control, canary = self._control, self._canary
        bounds, unit = self._bounds, self._yardstick.unit
        return RailEvidence(
            rail=self.name,
            unit=_UNITS[self.name],
            canary=self._figures(canary),
            control=self._figures(control),
            difference=self.difference,
            margin=None if unit is None else unit * bounds.margin,
            proof_margin=None if unit is None else unit * bounds.proof_margin,
            harm=self.harm.value,
            harm_threshold=self.harm.threshold,
            proof=self.proof.value,
            proof_threshold=self.proof.threshold,
            is_breached=self.harm.is_decided,
            is_proven=self.is_proven,
        )

    def _figures(self, arm: _Arm) -> ArmFigures:
        unit = self._yardstick.unit
        if arm.mean is None or arm.raw_mean is None or unit is None:
            return ArmFigures(arm.count, None)
        if self._bounds.most_ratio is not None:
            return ArmFigures(arm.count, _REQUESTS_SHOWN * arm.raw_mean)
        return ArmFigures(arm.count, unit * (1.0 - arm.mean if self.name is RailName.QUALITY else arm.mean))

    def to_json(self) -> dict[str, Any]:
        """What `restore` takes."""
        control, canary = self._control, self._canary
        return {
            "canary": canary.to_json(),
            "control": control.to_json(),
            "harm": self.harm.to_json(),
            "proof": self.proof.to_json(),
            "yardstick": self._yardstick.to_json(),
        }

    def restore(self, document: Mapping[str, Any]) -> None:
        """Go on exactly where `to_json` was called. KeyError, TypeError or ValueError when it is something else."""
        control, canary = self._control, self._canary
        canary.restore(document["canary"])
        control.restore(document["control"])
        self.harm.restore(document["harm"])
        self.proof.restore(document["proof"])
        self._yardstick.restore(document["yardstick"])
