"""Rebuilding a campaign from its ledger: ask again from the seed, admit what is stored, compare every genome."""

import dataclasses
from collections.abc import Callable, Iterable

from evolving_ai.domain.fitness import Evaluation
from evolving_ai.errors import CorruptionError
from evolving_ai.evolution.campaign import CampaignSpec
from evolving_ai.evolution.candidate import Candidate, Scored
from evolving_ai.evolution.result import CampaignResult
from evolving_ai.evolution.search import Search
from evolving_ai.evolution.state import CampaignState
from evolving_ai.stores.ports import CampaignLedger, CandidateRecord

__all__ = ["read_campaign", "replay", "stored_spec"]


def replay(
    search: Search,
    log: Iterable[tuple[CandidateRecord, Evaluation | None]],
    on_admitted: Callable[[Scored], None] | None = None,
) -> tuple[list[Candidate], dict[int, Evaluation]]:
    """Bring a new search to where the log ends; the candidates that have no result, and the results not yet admitted.

    CorruptionError when the log is not what this search would have written.
    """
    unfinished: list[Candidate] = []
    results: dict[int, Evaluation] = {}
    entries = list(log)
    results.update({record.index: evaluation for record, evaluation in entries if evaluation is not None})
    for record, evaluation in entries:
        candidate = _ask_again(search, record, results, on_admitted)
        if candidate is not None and evaluation is None:
            unfinished.append(candidate)
    _admit_known(search, results, on_admitted)
    return unfinished, results


def _admit_known(search: Search, results: dict[int, Evaluation], on_admitted: Callable[[Scored], None] | None) -> None:
    while search.may_admit and search.admitted in results:
        scored = search.admit(results.pop(search.admitted))
        if on_admitted is not None:
            on_admitted(scored)


def _ask_again(
    search: Search,
    record: CandidateRecord,
    results: dict[int, Evaluation],
    on_admitted: Callable[[Scored], None] | None,
) -> Candidate | None:
    _admit_known(search, results, on_admitted)
    if search.is_target_reached:
        return None
    candidate = search.ask() if search.may_ask else None
    if candidate is None or candidate.index != record.index or candidate.genome.hash != record.genome_hash:
        asked = "nothing" if candidate is None else candidate.genome.hash[:12]
        raise CorruptionError(
            f"the ledger has {record.genome_hash[:12]} as candidate {record.index}, the search asks for {asked}: "
            "it was written by another release or evaluator; start a new campaign"
        )
    return candidate


def stored_spec(ledger: CampaignLedger) -> CampaignSpec:
    """What a ledger's campaign is to do: its header, with the budget that a later run may have raised."""
    spec = CampaignSpec.from_json(ledger.header())
    _, detail = ledger.state()
    return dataclasses.replace(spec, max_evaluations=max(spec.max_evaluations, int(detail.get("max_evaluations", 0))))


def read_campaign(ledger: CampaignLedger) -> CampaignResult:
    """The campaign of a ledger as it stands, without evaluating anything."""
    spec = stored_spec(ledger)
    state, detail = ledger.state()
    search = Search(spec)
    replay(search, ledger.candidates())
    return CampaignResult(
        spec=spec,
        state=CampaignState(state),
        reason=str(detail.get("reason", "")),
        archive=search.archive,
        scored=tuple(search.scored),
        evaluations=search.admitted,
        elapsed_s=float(detail.get("elapsed_s", 0.0)),
        controller_s=0.0,
        busy_s=sum(one.evaluation.duration_s for one in search.scored if one.evaluation is not None),
    )
