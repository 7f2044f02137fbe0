"""The order in which targets are tried: the policy's ranking of models, and for each model where it can be had."""

from collections.abc import Iterator

from evolving_ai.domain.decision import Decision
from evolving_ai.domain.target import DeploymentTarget
from evolving_ai.router.breaker import Breakers
from evolving_ai.router.catalog import Selection

__all__ = ["first_target", "targets_in_order"]


def first_target(decision: Decision, selection: Selection, breakers: Breakers, now_s: float) -> DeploymentTarget | None:
    """The target of the chosen model where there is just one and it is available: the usual case, at once."""
    targets = selection.by_model.get(decision.model, ())
    if len(targets) == 1 and breakers.is_available(targets[0].name, now_s):
        return targets[0]
    return None


def targets_in_order(
    decision: Decision, selection: Selection, breakers: Breakers, now_s: float, seed: int
) -> Iterator[DeploymentTarget]:
    """Every target once: the chosen model's, then the others by score; unavailable ones at the very end.

    Targets of one model take turns, by the seed. A target whose breaker is open comes last rather than never: where
    nothing else is left, trying is better than refusing.
    """
    models = [decision.model, *(target.model for target in decision.ranking if target.model != decision.model)]
    late: list[DeploymentTarget] = []
    for model in models:
        members = selection.by_model.get(model, ())
        turn = seed % len(members) if members else 0
        for target in (*members[turn:], *members[:turn]):
            if breakers.is_available(target.name, now_s):
                yield target
            else:
                late.append(target)
    yield from late
