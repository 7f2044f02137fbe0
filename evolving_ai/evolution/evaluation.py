"""The evaluation boundary: whatever an evaluator does becomes an evaluation."""

import dataclasses
import math
from collections.abc import Sequence

from evolving_ai._common.clock import Clock
from evolving_ai.domain.dna import Genome
from evolving_ai.domain.fitness import Evaluation, Objective, Score
from evolving_ai.evolution.ports import Evaluator

__all__ = ["checked", "evaluate", "failed"]

_LONGEST_REASON = 300


def evaluate(evaluator: Evaluator, genome: Genome, clock: Clock) -> Evaluation:
    """Score a genome; an exception of the evaluator is recorded as its failure. `duration_s` is measured here."""
    start_s = clock.monotonic_s()
    try:
        evaluation = evaluator.evaluate(genome)
    except Exception as exc:  # noqa: BLE001 - the boundary: recorded in the evaluation, ranked worst
        evaluation = failed(f"{type(exc).__name__}: {exc}")
    return dataclasses.replace(evaluation, duration_s=clock.monotonic_s() - start_s)


def failed(reason: str, *, duration_s: float = 0.0) -> Evaluation:
    """An evaluation that failed for `reason`, of which the first line is kept."""
    line = next(iter(reason.splitlines()), "") or "no reason was given"
    return Evaluation(failure=line[:_LONGEST_REASON], duration_s=duration_s)


def checked(evaluation: Evaluation, objectives: Sequence[Objective]) -> Evaluation:
    """`evaluation`, or a failure when it lacks a finite score of an objective.

    Measures that are not finite are left out. A NaN compares with nothing: one in the archive would make its order
    depend on chance.
    """
    if evaluation.failure is not None:
        return evaluation
    for objective in objectives:
        score = evaluation.scores.get(objective.name)
        if score is None:
            return failed(f"the evaluator gave no score of {objective.name}", duration_s=evaluation.duration_s)
        if not math.isfinite(score.value) or not math.isfinite(score.standard_error):
            return failed(f"the score of {objective.name} is {score.value}", duration_s=evaluation.duration_s)
    scores = {o.name: evaluation.scores[o.name] for o in objectives}
    # Evaluators compute with numpy, whose scalars are no JSON.
    plain = {name: Score(float(score.value), float(score.standard_error)) for name, score in scores.items()}
    measures = {name: float(value) for name, value in evaluation.measures.items() if math.isfinite(value)}
    return dataclasses.replace(evaluation, scores=plain, measures=measures)
