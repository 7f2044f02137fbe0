"""From answers that were measured to the rows of the table."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from evolving_ai._common.rng import derive_rng
from evolving_ai.decision.cost_quality import Interval, bootstrap_interval, oracle_choice, single_points
from evolving_ai.decision.outcome_table import OutcomeTable
from evolving_ai.demo.record import MeasuredRow
from evolving_ai.demo.traffic import Answered

__all__ = ["cheapest_model", "measured_row", "oracle_models", "paired_gain"]

_PER_CENT = 100.0
_PER_1K = 1000.0


def measured_row(name: str, answers: Sequence[Answered], seed: int) -> MeasuredRow:
    """The row of a way to choose; `seed` draws the resamples of the interval."""
    quality = bootstrap_interval([answer.score * _PER_CENT for answer in answers], derive_rng(seed, "demo", name))
    seconds = np.array([answer.seconds for answer in answers])
    counts = Counter(answer.model for answer in answers)
    return MeasuredRow(
        name=name,
        quality=quality.value,
        quality_low=quality.low,
        quality_high=quality.high,
        cost_usd_per_1k=float(np.mean([answer.cost_usd for answer in answers])) * _PER_1K,
        p50_s=float(np.quantile(seconds, 0.50)),
        p95_s=float(np.quantile(seconds, 0.95)),
        shares={model: count / len(answers) for model, count in counts.most_common()},
    )


def paired_gain(after: Sequence[Answered], before: Sequence[Answered], seed: int) -> Interval:
    """How many points of 100 more the same questions were worth, with the 95 % interval of the paired differences."""
    pairs = zip(after, before, strict=True)
    gains = [(one.score - other.score) * _PER_CENT for one, other in pairs]
    return bootstrap_interval(gains, derive_rng(seed, "demo", "gain"))


def cheapest_model(train: OutcomeTable) -> str:
    """The model with the lowest mean cost."""
    points = single_points(train)
    return min(points, key=lambda model: (points[model].cost_usd_per_1k, model))


def oracle_models(table: OutcomeTable) -> list[str]:
    """For each question the cheapest of the models that answered it best."""
    return [table.models[place] for place in oracle_choice(table)]
