"""Feedback that is faster than the outcome it is about: which of it waits, and for how long."""

from evolving_ai._common.request_ids import request_time_s
from evolving_ai.domain.outcome import Feedback
from evolving_ai.stores.ports.outcomes import PENDING_S

__all__ = ["KEPT_S", "may_still_arrive"]

KEPT_S = 10 * PENDING_S
"""How long feedback waits for an outcome before it is dropped: replicas may be cut off for a while."""


def may_still_arrive(feedback: Feedback) -> bool:
    """Whether the decision was made so recently that its outcome may be on its way. Ids of others never are."""
    made_s = request_time_s(feedback.decision_id)
    return made_s is not None and abs(feedback.time_s - made_s) < PENDING_S
