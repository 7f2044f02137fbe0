"""What a learner takes from an outcome: which model answered what kind of request how well, at which price.

Outcomes that nobody rated, or that no target answered, teach nothing here: failures of targets are a matter of
breakers, not of quality.
"""

from dataclasses import dataclass

from evolving_ai.domain.money import NANO_PER_USD
from evolving_ai.domain.outcome import Outcome

__all__ = ["Lesson", "lesson_of"]


@dataclass(frozen=True, slots=True)
class Lesson:
    """`score` 0 to 1 of an answer of `model`, which cost `cost_usd`; `features` as `feature_codec` encodes them.

    `previous` is the score that this one replaces: then the answer has been learned from, and only the difference
    counts. `propensity` is the probability with which the model was chosen, above 0.
    """

    model: str
    score: float
    previous: float | None
    cost_usd: float
    propensity: float
    features: bytes


def lesson_of(outcome: Outcome, score: float, previous: float | None = None) -> Lesson | None:
    """The lesson of an outcome that was rated; None when no target answered.

    A model that answered in place of the chosen one was not drawn: its propensity counts as 1, so that it weighs as
    one answer. The cost is that of the attempt that answered, without those that failed before it.
    """
    if outcome.target is None or not outcome.attempts:
        return None
    model = outcome.target.partition("/")[2]
    is_chosen = model == outcome.models[outcome.chosen]
    return Lesson(
        model=model,
        score=score,
        previous=previous,
        cost_usd=outcome.attempts[-1].cost_nano_usd / NANO_PER_USD,
        propensity=outcome.propensity if is_chosen else 1.0,
        features=outcome.features,
    )
