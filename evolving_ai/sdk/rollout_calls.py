"""The calls below `/api/v1/rollouts`, as values."""

from collections.abc import Mapping
from typing import Any

from evolving_ai.sdk.call import ApiCall, encode_body, path_of
from evolving_ai.sdk.results import Rollout
from evolving_ai.sdk.retries import Effect

__all__ = ["approve_rollout_call", "rollout_call", "rollouts_call", "start_rollout_call", "stop_rollout_call"]


def start_rollout_call(ref: str, plan: Mapping[str, Any] | None, reason: str) -> ApiCall[Rollout]:
    """Begin to roll DNA out."""
    body = {"ref": ref, "reason": reason} if plan is None else {"ref": ref, "plan": dict(plan), "reason": reason}
    return ApiCall("POST", path_of("rollouts"), Rollout.model_validate, Effect.CHANGES, encode_body(body))


def rollout_call(rollout_id: str) -> ApiCall[Rollout]:
    """Where a rollout stands."""
    return ApiCall("GET", path_of("rollouts", rollout_id), Rollout.model_validate, Effect.READS)


def rollouts_call() -> ApiCall[tuple[Rollout, ...]]:
    """All rollouts, the newest first."""
    return ApiCall("GET", path_of("rollouts"), _read_rollouts, Effect.READS)


def approve_rollout_call(rollout_id: str) -> ApiCall[Rollout]:
    """Let a rollout that awaits it go on."""
    path = path_of("rollouts", rollout_id, "approve")
    return ApiCall("POST", path, Rollout.model_validate, Effect.CHANGES, encode_body({}))


def stop_rollout_call(rollout_id: str, reason: str) -> ApiCall[Rollout]:
    """End a rollout."""
    path = path_of("rollouts", rollout_id, "stop")
    return ApiCall("POST", path, Rollout.model_validate, Effect.CHANGES, encode_body({"reason": reason}))


def _read_rollouts(document: Any) -> tuple[Rollout, ...]:
    return tuple(Rollout.model_validate(rollout) for rollout in document["rollouts"])
