"""Lineage: how a candidate came from the seeds."""

from collections.abc import Sequence
from typing import Any

from evolving_ai.domain.mutation import Change
from evolving_ai.evolution.candidate import Scored

__all__ = ["ancestry", "lineage_document"]


def ancestry(scored: Sequence[Scored], index: int) -> tuple[Scored, ...]:
    """A candidate's line of first parents from a candidate without parents (a seed or a blind sample) down to it."""
    line = [scored[index]]
    while line[-1].candidate.parents:
        line.append(scored[line[-1].candidate.parents[0]])
    return tuple(reversed(line))


def lineage_document(scored: Sequence[Scored], index: int) -> dict[str, Any]:
    """Every ancestor of a candidate, on all sides, as JSON: the genome's hash, parents, operator, changes, scores."""
    wanted, found = [index], set[int]()
    while wanted:
        current = wanted.pop()
        if current not in found:
            found.add(current)
            wanted.extend(scored[current].candidate.parents)
    return {"winner": index, "candidates": [_entry(scored[number]) for number in sorted(found)]}


def _entry(one: Scored) -> dict[str, Any]:
    candidate, evaluation = one.candidate, one.evaluation
    scores = {} if evaluation is None else {name: score.value for name, score in evaluation.scores.items()}
    changes: tuple[Change, ...] = () if candidate.mutation is None else candidate.mutation.changes
    return {
        "index": candidate.index,
        "dna": candidate.genome.hash,
        "parents": list(candidate.parents),
        "emitter": candidate.emitter,
        "operator": candidate.operator,
        "changes": [[change.gene, change.before, change.after] for change in changes],
        "scores": scores,
    }
