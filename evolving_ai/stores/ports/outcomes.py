"""Where outcomes lie: what is known about requests once they are over, and what is said about them later."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from evolving_ai.domain.outcome import Feedback, Outcome

__all__ = [
    "PENDING_S",
    "OutcomeBatch",
    "OutcomeCounts",
    "OutcomeCursor",
    "OutcomeStore",
    "RecordedOutcome",
    "ScoredOutcome",
]

PENDING_S = 60.0
"""Feedback about a decision younger than this waits for its outcome, which replicas hand over a moment later."""


@dataclass(frozen=True, slots=True)
class OutcomeBatch:
    """What a replica hands over at once: `payload` is made by `stores.outcome_codec`.

    `replica` names one life of one replica, `sequence` counts its batches from 0.
    """

    replica: str
    sequence: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class RecordedOutcome:
    """An outcome with the feedback that stands."""

    outcome: Outcome
    feedback: Feedback | None


class OutcomeCursor(NamedTuple):
    """How far a reader of `scored` has come: the last batch, and the last feedback, that it was given."""

    batch: int = 0
    feedback: int = 0


@dataclass(frozen=True, slots=True)
class ScoredOutcome:
    """A quality signal, 0 to 1, with the outcome that it is about (None: an outcome that came without one).

    `previous` is the signal that it replaces (None: this is the first): feedback replaces the score that came with
    the answer, and later feedback replaces earlier.
    """

    outcome: Outcome
    score: float | None
    previous: float | None


@dataclass(frozen=True, slots=True)
class OutcomeCounts:
    """How many outcomes lie in the database and in the archive, and how many were given feedback.

    `end` is the cursor behind everything there is.
    """

    recent: int
    archived: int
    with_feedback: int
    end: OutcomeCursor


class OutcomeStore(Protocol):
    """Outcomes by decision id. One writer process; threads may share it.

    Guarantees: what was appended is durable when `append` returns, and so is feedback; a batch counts once, however
    often it is handed over, before and after it was archived; an outcome is either in the database or in the archive,
    also after a crash in the middle of `compact`.
    """

    def append(self, batch: OutcomeBatch) -> bool:
        """Store a batch, all of it or none; False when it was stored before. CorruptionError when it is damaged."""
        ...

    def find(self, decision_id: str, tenant: str | None = None) -> RecordedOutcome | None:
        """The outcome with its feedback; None when it is unknown, or of another tenant than `tenant` (None: any)."""
        ...

    def feedback(self, feedback: Feedback) -> bool:
        """Let this feedback stand; the same once more is no change. False when the decision is unknown to the tenant.

        Feedback about a decision that its id makes younger than PENDING_S, as seen from `feedback.time_s`, is taken:
        it is kept until the outcome arrives, and dropped when that is another tenant's or does not come.
        """
        ...

    def scored(
        self, after: OutcomeCursor, limit: int, *, with_unscored: bool = False
    ) -> tuple[Sequence[ScoredOutcome], OutcomeCursor]:
        """Signals that came after the cursor, and the cursor behind them; nothing new gives the same cursor back.

        Batches are never cut, so there may be more than `limit` >= 1. The signals that came with answers are given
        first, then feedback, each in the order of arrival. What was archived meanwhile is not given any more, but
        feedback about it is. `with_unscored`: outcomes without a signal are given as well, in their places.
        """
        ...

    def compact(self, older_than_s: float) -> int:
        """Move batches whose outcomes are all older (seconds since the epoch) to the archive; how many outcomes."""
        ...

    def counts(self) -> OutcomeCounts: ...
