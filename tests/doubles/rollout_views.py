"""Rollouts as the API shows them, at every moment of a life."""

from typing import Any

from evolving_ai.rollout.evidence import ArmFigures, RailEvidence, RailName
from evolving_ai.rollout.plan import RolloutPlan

__all__ = ["gate_view", "rail_view", "rollout_view", "transition_view"]

_AT = "2026-01-01T12:00:00+00:00"


def gate_view(name: str = "genome", *, passed: bool = True, detail: str = "6 genes are legal") -> dict[str, Any]:
    """What a gate said."""
    return {"name": name, "passed": passed, "detail": detail, "figures": {"changes": 2.0}}


def rail_view(name: RailName = RailName.QUALITY, **fields: Any) -> dict[str, Any]:
    """A guard rail that knows a little."""
    known: dict[str, Any] = {
        "unit": "points of 100",
        "canary": ArmFigures(120, 71.25),
        "control": ArmFigures(1034, 70.0),
        "difference": -1.25,
        "margin": 3.0,
        "proof_margin": 3.0,
        "harm": 0.25,
        "harm_threshold": 80.0,
        "proof": 5.0,
        "proof_threshold": 20.0,
        "is_breached": False,
        "is_proven": False,
    }
    return RailEvidence(rail=name, **{**known, **fields}).to_json()


def transition_view(state: str, *, share: float | None = None, reason: str = "") -> dict[str, Any]:
    """A step."""
    return {"at": _AT, "state": state, "share": share, "reason": reason, "actor": "local-admin", "evidence": {}}


def rollout_view(rollout_id: str = "rollout-0000000001", state: str = "canary", **fields: Any) -> dict[str, Any]:
    """A rollout in its first stage, unless `fields` say otherwise."""
    is_canary = state == "canary"
    return {
        "id": rollout_id,
        "state": state,
        "reason": "",
        "actor": "local-admin",
        "started": _AT,
        "ended": _AT if state in ("promoted", "rolled_back", "refused", "stopped") else None,
        "candidate": {"commit": "c" * 64, "dna_hash": "d" * 64},
        "incumbent": {"commit": "1" * 64, "dna_hash": "2" * 64},
        "plan": RolloutPlan().to_json(),
        "stage": 0 if is_canary else None,
        "share": 0.1 if is_canary else None,
        "requests": {"canary": 120, "control": 1034} if is_canary else {"canary": 0, "control": 0},
        "gates": [] if state == "gating" else [gate_view()],
        "rails": [rail_view(name) for name in RailName] if is_canary else [],
        "history": [{"requests": 500}],
        "transitions": [transition_view(state, share=0.1 if is_canary else None, reason="asked")],
        "exchange": None,
        **fields,
    }
