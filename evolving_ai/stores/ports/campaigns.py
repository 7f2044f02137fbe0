"""The durable log of one campaign."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from evolving_ai.domain.fitness import Evaluation

__all__ = ["CampaignLedger", "CandidateRecord"]


@dataclass(frozen=True, slots=True)
class CandidateRecord:
    """What a campaign asked for: the `index`-th candidate, as JSON that the campaign understands."""

    index: int
    genome_hash: str
    document: Mapping[str, Any]


class CampaignLedger(Protocol):
    """The durable log of one campaign. One writer process; a second one is refused with LockedError.

    Guarantees: what a method wrote is durable when it returns; a candidate and an evaluation are each committed
    exactly once, whoever delivers them how often; the log reads back in the order of the indices.
    """

    def header(self) -> Mapping[str, Any]:
        """The campaign's description, as it was given when the ledger was created."""
        ...

    def commit(self, candidates: Sequence[CandidateRecord], evaluations: Mapping[int, Evaluation]) -> tuple[int, ...]:
        """Log candidates and results of logged candidates, all of them or (when it raises) none.

        Logging the same candidate again is no change, and the first result of a candidate stands; the indices whose
        results are new are returned, sorted. CorruptionError when an index is already taken by another genome, or a
        result names a candidate that is not logged.
        """
        ...

    def candidates(self) -> Iterator[tuple[CandidateRecord, Evaluation | None]]:
        """Everything logged, in the order of the indices. CorruptionError when a stored row is damaged."""
        ...

    def set_state(self, state: str, detail: Mapping[str, Any]) -> None:
        """Record where the campaign stands (see `evolution.state.CampaignState`) with what belongs to it."""
        ...

    def state(self) -> tuple[str, Mapping[str, Any]]:
        """The last recorded state and its detail; `created` and nothing for a new ledger."""
        ...

    def close(self) -> None:
        """Give the ledger back to the next writer; closing again is no change."""
        ...
