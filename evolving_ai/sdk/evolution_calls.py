"""The calls below `/api/v1/evolution` and `/api/v1/dna`, as values."""

from typing import Any

from evolving_ai.sdk.call import ApiCall, encode_body, path_of
from evolving_ai.sdk.results import EvolutionStatus, LiveDna, LiveVersion
from evolving_ai.sdk.retries import Effect

__all__ = [
    "dna_history_call",
    "dna_promote_call",
    "dna_rollback_call",
    "evolutions_call",
    "live_dna_call",
    "rollback_call",
    "start_call",
    "status_call",
    "stop_call",
]


def start_call(
    target_fitness: float | None, max_iterations: int | None, *, campaign: str | None, seed: int | None
) -> ApiCall[str]:
    """Start a campaign; its id."""
    wishes = {
        "target_fitness": target_fitness,
        "max_iterations": max_iterations,
        "campaign": campaign,
        "seed": seed,
    }
    content = encode_body({name: value for name, value in wishes.items() if value is not None})
    return ApiCall("POST", path_of("evolution", "start"), _read_id, Effect.CHANGES, content)


def status_call(evolution_id: str) -> ApiCall[EvolutionStatus]:
    """Where a campaign stands."""
    return ApiCall("GET", path_of("evolution", "status", evolution_id), EvolutionStatus.model_validate, Effect.READS)


def evolutions_call() -> ApiCall[tuple[EvolutionStatus, ...]]:
    """All campaigns, the last to change first."""
    return ApiCall("GET", path_of("evolution", "campaigns"), _read_campaigns, Effect.READS)


def stop_call(evolution_id: str) -> ApiCall[EvolutionStatus]:
    """End a campaign with its best so far; the same once more is no change."""
    return ApiCall("POST", path_of("evolution", "stop", evolution_id), EvolutionStatus.model_validate, Effect.COSTS)


def rollback_call(evolution_id: str) -> ApiCall[LiveDna]:
    """Take a campaign's winner out of service; what is live then."""
    return ApiCall("POST", path_of("evolution", "rollback", evolution_id), _read_rolled_back, Effect.CHANGES)


def live_dna_call() -> ApiCall[LiveDna]:
    """What is live."""
    return ApiCall("GET", path_of("dna", "live"), LiveDna.model_validate, Effect.READS)


def dna_history_call() -> ApiCall[tuple[LiveVersion, ...]]:
    """What was live, the newest first."""
    return ApiCall("GET", path_of("dna", "history"), _read_versions, Effect.READS)


def dna_promote_call(ref: str, reason: str) -> ApiCall[LiveDna]:
    """Make DNA live."""
    content = encode_body({"ref": ref, "reason": reason})
    return ApiCall("POST", path_of("dna", "promote"), LiveDna.model_validate, Effect.CHANGES, content)


def dna_rollback_call(reason: str) -> ApiCall[LiveDna]:
    """Make live what was live before."""
    content = encode_body({"reason": reason})
    return ApiCall("POST", path_of("dna", "rollback"), LiveDna.model_validate, Effect.CHANGES, content)


def _read_id(document: Any) -> str:
    return str(document["id"])


def _read_campaigns(document: Any) -> tuple[EvolutionStatus, ...]:
    return tuple(EvolutionStatus.model_validate(campaign) for campaign in document["campaigns"])


def _read_rolled_back(document: Any) -> LiveDna:
    return LiveDna.model_validate(document["live"])


def _read_versions(document: Any) -> tuple[LiveVersion, ...]:
    return tuple(LiveVersion.model_validate(version) for version in document["versions"])
