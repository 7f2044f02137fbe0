"""What an outcome tells the guard rails of a rollout."""

from evolving_ai.domain.outcome import Outcome
from evolving_ai.rollout.evidence import Observation
from evolving_ai.stores.ports import ScoredOutcome

__all__ = ["observation_of"]

_CLIENT_CLOSED = 499
_FAILED_FROM = 400


def observation_of(signal: ScoredOutcome, rollout: str, candidate: str) -> Observation | None:
    """The observation; None when the request took no part in `rollout`, or says nothing new.

    `candidate` is its DNA's hash. Where the candidate could not decide a request of its arm, and the live DNA did, that
    is a failure of the canary, and nothing else of it counts. The first quality signal about a request counts, whether
    it came with the answer or later: what a sequential test has taken in cannot be taken out of it, so a signal that
    replaces another is passed over.
    """
    outcome, assignment = signal.outcome, signal.outcome.assignment
    if assignment is None or assignment.rollout != rollout or signal.previous is not None:
        return None
    if assignment.is_canary and outcome.dna_hash != candidate:
        is_arrival = signal.score == outcome.score
        return Observation(True, assignment.share, has_failed=True, unit=assignment.unit) if is_arrival else None
    if signal.score is not None and outcome.score is None:
        return Observation(assignment.is_canary, assignment.share, score=signal.score, unit=assignment.unit)
    return Observation(
        assignment.is_canary,
        assignment.share,
        score=signal.score,
        cost_usd=outcome.cost_nano_usd / 1e9,
        latency_s=outcome.latency_s,
        has_failed=_has_failed(outcome),
        unit=assignment.unit,
    )


def _has_failed(outcome: Outcome) -> bool:
    """Whether the request failed; a client that went away did not fail, but a stream that broke off did."""
    if outcome.status == _CLIENT_CLOSED or outcome.error_code == "client_closed":
        return False
    return outcome.status >= _FAILED_FROM or outcome.error_code is not None
