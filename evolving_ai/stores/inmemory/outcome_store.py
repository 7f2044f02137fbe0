"""Outcomes in memory: for tests and for runs that leave nothing behind. Durable only as long as the process."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from evolving_ai.domain.outcome import Feedback, Outcome
from evolving_ai.stores.outcome_codec import check_payload, decode_outcomes, read_header
from evolving_ai.stores.pending_feedback import KEPT_S, may_still_arrive
from evolving_ai.stores.ports.outcomes import (
    OutcomeBatch,
    OutcomeCounts,
    OutcomeCursor,
    RecordedOutcome,
    ScoredOutcome,
)

__all__ = ["InMemoryOutcomeStore"]


@dataclass(frozen=True, slots=True)
class _Signal:
    feedback: Feedback
    previous: float | None


class InMemoryOutcomeStore:
    """An `OutcomeStore` of lists and dictionaries; threads may share it. It keeps bytes, as a real store does."""

    def __init__(self) -> None:
        self._batches: list[bytes] = []
        self._is_archived: list[bool] = []
        self._taken: set[tuple[str, int]] = set()
        self._places: dict[str, tuple[int, int]] = {}
        self._signals: list[_Signal] = []
        self._standing: dict[str, Feedback] = {}
        self._pending: dict[tuple[str, str], Feedback] = {}
        self._turn = threading.Lock()

    def append(self, batch: OutcomeBatch) -> bool:
        header = read_header(check_payload(batch.payload)[0])
        with self._turn:
            if (batch.replica, batch.sequence) in self._taken:
                return False
            self._taken.add((batch.replica, batch.sequence))
            self._batches.append(batch.payload)
            self._is_archived.append(False)
            for position, decision_id in enumerate(header.ids):
                self._places.setdefault(decision_id, (len(self._batches) - 1, position))
            for decision_id, tenant, score in zip(header.ids, header.tenants, header.scores, strict=True):
                waiting = self._pending.pop((decision_id, tenant), None)
                if waiting is not None:
                    self._attach(waiting, score)
            return True

    def find(self, decision_id: str, tenant: str | None = None) -> RecordedOutcome | None:
        with self._turn:
            outcome = self._outcome(decision_id)
            if outcome is None or tenant not in (None, outcome.tenant):
                return None
            return RecordedOutcome(outcome, self._standing.get(decision_id))

    def feedback(self, feedback: Feedback) -> bool:
        with self._turn:
            outcome = self._outcome(feedback.decision_id)
            if outcome is not None:
                if outcome.tenant != feedback.tenant:
                    return False
                self._attach(feedback, outcome.score)
                return True
            if not may_still_arrive(feedback):
                return False
            self._drop_pending(feedback.time_s - KEPT_S)
            self._pending[feedback.decision_id, feedback.tenant] = feedback
            return True

    def scored(
        self, after: OutcomeCursor, limit: int, *, with_unscored: bool = False
    ) -> tuple[Sequence[ScoredOutcome], OutcomeCursor]:
        with self._turn:
            found: list[ScoredOutcome] = []
            batch, number = after
            while batch < len(self._batches) and len(found) < limit:
                if not self._is_archived[batch]:
                    found.extend(_first_signals(self._batches[batch], with_unscored))
                batch += 1
            for signal in self._signals[number : number + max(limit - len(found), 0)]:
                outcome = self._outcome(signal.feedback.decision_id)
                if outcome is not None:
                    found.append(ScoredOutcome(outcome, signal.feedback.score, signal.previous))
                number += 1
            return found, OutcomeCursor(batch, number)

    def compact(self, older_than_s: float) -> int:
        moved = 0
        with self._turn:
            self._drop_pending(older_than_s - KEPT_S)
            for place, payload in enumerate(self._batches):
                times_s = read_header(payload).times_s
                if not self._is_archived[place] and max(times_s, default=0.0) < older_than_s:
                    self._is_archived[place] = True
                    moved += len(times_s)
        return moved

    def counts(self) -> OutcomeCounts:
        with self._turn:
            sizes = [len(read_header(payload).ids) for payload in self._batches]
            archived = sum(size for size, gone in zip(sizes, self._is_archived, strict=True) if gone)
            end = OutcomeCursor(len(self._batches), len(self._signals))
            return OutcomeCounts(sum(sizes) - archived, archived, len(self._standing), end)

    def _outcome(self, decision_id: str) -> Outcome | None:
        place = self._places.get(decision_id)
        return None if place is None else decode_outcomes(self._batches[place[0]], (place[1],))[0]

    def _attach(self, feedback: Feedback, score: float | None) -> None:
        standing = self._standing.get(feedback.decision_id)
        if standing and (standing.score, standing.comment) == (feedback.score, feedback.comment):
            return
        self._signals.append(_Signal(feedback, standing.score if standing else score))
        self._standing[feedback.decision_id] = feedback

    def _drop_pending(self, before_s: float) -> None:
        self._pending = {key: waiting for key, waiting in self._pending.items() if waiting.time_s >= before_s}


def _first_signals(payload: bytes, with_unscored: bool) -> list[ScoredOutcome]:
    scores = read_header(payload).scores
    positions = [position for position, score in enumerate(scores) if with_unscored or score is not None]
    return [ScoredOutcome(outcome, outcome.score, None) for outcome in decode_outcomes(payload, positions)]
