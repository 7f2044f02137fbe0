"""A campaign's log that lives as long as its object: for tests, and for searches that nobody needs to resume."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evolving_ai.domain.fitness import Evaluation
from evolving_ai.errors import CorruptionError
from evolving_ai.stores.ports import CandidateRecord

__all__ = ["InMemoryCampaignLedger"]


class InMemoryCampaignLedger:
    """A `CampaignLedger` without a file; durable only in the sense that the object remembers."""

    def __init__(self, header: Mapping[str, Any]) -> None:
        self._header = dict(header)
        self._candidates: dict[int, CandidateRecord] = {}
        self._evaluations: dict[int, Evaluation] = {}
        self._state: tuple[str, Mapping[str, Any]] = ("created", {})

    def header(self) -> Mapping[str, Any]:
        return dict(self._header)

    def commit(self, candidates: Sequence[CandidateRecord], evaluations: Mapping[int, Evaluation]) -> tuple[int, ...]:
        logged = dict(self._candidates)
        for record in candidates:
            known = logged.setdefault(record.index, record)
            if known.genome_hash != record.genome_hash:
                raise CorruptionError(
                    f"candidate {record.index} is logged as {known.genome_hash[:12]}, not {record.genome_hash[:12]}"
                )
        for index in evaluations:
            if index not in logged:
                raise CorruptionError(f"candidate {index} has a result but is not logged: log it first")
        new = tuple(sorted(index for index in evaluations if index not in self._evaluations))
        self._candidates = logged
        self._evaluations.update({index: evaluations[index] for index in new})
        return new

    def candidates(self) -> Iterator[tuple[CandidateRecord, Evaluation | None]]:
        for index in sorted(self._candidates):
            yield self._candidates[index], self._evaluations.get(index)

    def set_state(self, state: str, detail: Mapping[str, Any]) -> None:
        self._state = (state, dict(detail))

    def state(self) -> tuple[str, Mapping[str, Any]]:
        return self._state

    def close(self) -> None:
        """Nothing is held."""
