"""A candidate that only live evidence can catch: thriftier DNA that leans on one model, which then gets worse.

By everything that was recorded it is a fair trade, so the gates let it pass. Once the provider of that model answers
worse than it was recorded, this DNA suffers far more than the one that is live.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evolving_ai._common.clock import Clock
from evolving_ai.decision.engine import DecisionEngine
from evolving_ai.domain.dna import Genome
from evolving_ai.errors import DataError
from evolving_ai.rollout.plan import RolloutPlan
from evolving_ai.wiring.held_out import Choices, Ground, Trial, choose, joined, trials
from evolving_ai.wiring.rollout_gates import judge, thriftier

__all__ = ["HarmfulCandidate", "find_harmful"]

_FACTORS = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0)
_LEAST_SHIFT = 0.30
_ENOUGH_HARM = 25.0
_LEAST_HARM = 15.0


@dataclass(frozen=True, slots=True)
class HarmfulCandidate:
    """DNA that sends `model` a far larger share of the requests (0 to 1) than the live DNA does.

    `quality_change` (points of 100) and `cost_ratio` compare it with the live DNA by what was recorded. `expected_harm`
    is by how many points it is worse than the live DNA once every answer of `model` is wrong.
    """

    genome: Genome
    model: str
    share_before: float
    share_after: float
    quality_change: float
    cost_ratio: float
    expected_harm: float


def find_harmful(live: Genome, ground: Ground, plan: RolloutPlan, clock: Clock) -> HarmfulCandidate:
    """The thriftier DNA that is harmful enough (25 points) with the least change, else the most harmful (15 or more).

    It is cheaper than `live`, sends at least 30 % of all requests to a model that did not get them before, and passes
    the gates of `plan`. DataError when there is no such DNA, or nothing was recorded.
    """
    for found in _by_preference(list(_harmful(live, ground))):
        if all(gate.passed for gate in judge(ground, found.genome, live, plan, clock)):
            return found
    raise DataError(
        f"no thriftier DNA than {live.hash[:12]} passes the gates and sends one model {_LEAST_SHIFT:.0%} more of the "
        "requests: expected recorded outcomes, and live DNA that weighs costs lightly"
    )


def _by_preference(found: list[HarmfulCandidate]) -> list[HarmfulCandidate]:
    """Those that are harmful enough, the least changed first; then the others, the most harmful first."""
    enough = [each for each in found if each.expected_harm >= _ENOUGH_HARM]
    rest = [each for each in found if _LEAST_HARM <= each.expected_harm < _ENOUGH_HARM]
    return [*enough, *sorted(rest, key=lambda each: -each.expected_harm)]


def _harmful(live: Genome, ground: Ground) -> Iterator[HarmfulCandidate]:
    """Thriftier DNA that is cheaper and leans on one model, the least changed first."""
    _, given = trials(ground)
    if not given:
        return
    before = _choices(live, given)
    for factor in _FACTORS:
        genome = thriftier(live, factor)
        found = _compared(genome, ground.models, before, _choices(genome, given))
        if found.cost_ratio < 1 and found.share_after - found.share_before >= _LEAST_SHIFT:
            yield found


def _choices(genome: Genome, given: tuple[Trial, ...]) -> Choices:
    return joined([choose(DecisionEngine(genome, trial.fit(genome)), trial.rows) for trial in given])


def _compared(genome: Genome, models: tuple[str, ...], before: Choices, after: Choices) -> HarmfulCandidate:
    old, new = (np.bincount(each.judged, minlength=len(models)) / len(each.judged) for each in (before, after))
    leaned_on = int((new - old).argmax())
    return HarmfulCandidate(
        genome=genome,
        model=models[leaned_on],
        share_before=float(old[leaned_on]),
        share_after=float(new[leaned_on]),
        quality_change=float(100 * (after.score.mean() - before.score.mean())),
        cost_ratio=float(after.cost_usd.mean() / before.cost_usd.mean()),
        expected_harm=float(100 * (_without(before, leaned_on) - _without(after, leaned_on)).mean()),
    )


def _without(choices: Choices, model: int) -> NDArray[np.float64]:
    """The scores, were every answer of one model wrong."""
    return np.where(choices.judged == model, 0.0, choices.score)
