"""A rollout as the API shows it, read into what the report needs; what is absent or of another shape is left out."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evolving_ai.rollout.evidence import RailName

__all__ = ["GateView", "HistoryPoint", "RailView", "RolloutView", "TransitionView"]

_BEYOND = 1e300
"""Nothing that is told means more than that."""


@dataclass(frozen=True, slots=True)
class RailView:
    """A guard rail at the end: see rollout/evidence.py, RailEvidence."""

    rail: str
    unit: str
    canary_count: float | None
    canary_mean: float | None
    control_count: float | None
    control_mean: float | None
    difference: float | None
    margin: float | None
    proof_margin: float | None
    harm: float | None
    harm_threshold: float | None
    proof: float | None
    proof_threshold: float | None
    is_breached: bool
    is_proven: bool


@dataclass(frozen=True, slots=True)
class GateView:
    """What a gate said."""

    name: str
    passed: bool
    detail: str
    figures: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TransitionView:
    """A change of state. `at` is as the API has it; `share` is of the requests, None where no request sees it."""

    at: Any
    state: str
    share: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """What the guard rails said after so many requests of both arms: by rail its e-values and running difference."""

    requests: float
    harm: Mapping[str, float]
    proof: Mapping[str, float]
    difference: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class RolloutView:
    """One rollout."""

    state: str
    reason: str
    candidate: str
    candidate_dna: str
    incumbent: str
    requests: float | None
    canary_requests: float | None
    stages: tuple[tuple[float, float], ...]
    gates: tuple[GateView, ...]
    rails: tuple[RailView, ...]
    transitions: tuple[TransitionView, ...]
    history: tuple[HistoryPoint, ...]

    @classmethod
    def read(cls, view: Mapping[str, Any]) -> "RolloutView":
        """What the API's view says."""
        canary, control = (_number(_map(view, "requests").get(arm)) for arm in ("canary", "control"))
        stages = [
            (_number(one.get("share")), _number(one.get("min_requests"))) for one in _maps(_map(view, "plan"), "stages")
        ]
        return cls(
            state=str(view.get("state") or ""),
            reason=str(view.get("reason") or ""),
            candidate=str(_map(view, "candidate").get("commit") or ""),
            candidate_dna=str(_map(view, "candidate").get("dna_hash") or ""),
            incumbent=str(_map(view, "incumbent").get("commit") or ""),
            requests=None if canary is None or control is None else canary + control,
            canary_requests=canary,
            stages=tuple((share, least) for share, least in stages if share is not None and least is not None),
            gates=tuple(_gate(one) for one in _maps(view, "gates")),
            rails=tuple(_rail(one) for one in _maps(view, "rails")),
            transitions=tuple(_transition(one) for one in _maps(view, "transitions")),
            history=tuple(point for one in _maps(view, "history") if (point := _point(one)) is not None),
        )

    def growths(self) -> list[tuple[float, float]]:
        """After how many requests a later stage began, and its share: a stage takes a fixed number of requests."""
        begun = sum(1 for each in self.transitions if each.state == "canary")
        done, found = 0.0, []
        for position, (_, least) in enumerate(self.stages[:-1]):
            done += least
            if begun > position + 1:
                found.append((done, self.stages[position + 1][0]))
        return found


def _map(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key)
    return value if isinstance(value, Mapping) else {}


def _maps(document: Mapping[str, Any], key: str) -> Iterable[Mapping[str, Any]]:
    value = document.get(key)
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, Sequence) else []


def _number(value: Any) -> float | None:
    evidence = _evidence(value)
    return evidence if evidence is not None and math.isfinite(evidence) else None


def _evidence(value: Any) -> float | None:
    """An e-value may be infinite, no other number may."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and math.isnan(value):
        return None
    return float(value) if abs(value) < _BEYOND else math.copysign(math.inf, value)


def _gate(document: Mapping[str, Any]) -> GateView:
    return GateView(
        name=str(document.get("name") or ""),
        passed=document.get("passed") is True,
        detail=str(document.get("detail") or ""),
        figures=_map(document, "figures"),
    )


def _rail(document: Mapping[str, Any]) -> RailView:
    canary, control = _map(document, "canary"), _map(document, "control")
    return RailView(
        rail=str(document.get("rail") or ""),
        unit=str(document.get("unit") or ""),
        canary_count=_number(canary.get("count")),
        canary_mean=_number(canary.get("mean")),
        control_count=_number(control.get("count")),
        control_mean=_number(control.get("mean")),
        difference=_number(document.get("difference")),
        margin=_number(document.get("margin")),
        proof_margin=_number(document.get("proof_margin")),
        harm=_evidence(document.get("harm")),
        harm_threshold=_number(document.get("harm_threshold")),
        proof=_evidence(document.get("proof")),
        proof_threshold=_number(document.get("proof_threshold")),
        is_breached=document.get("is_breached") is True,
        is_proven=document.get("is_proven") is True,
    )


def _transition(document: Mapping[str, Any]) -> TransitionView:
    return TransitionView(
        at=document.get("at"),
        state=str(document.get("state") or ""),
        share=_number(document.get("share")),
        reason=str(document.get("reason") or ""),
    )


def _point(document: Mapping[str, Any]) -> HistoryPoint | None:
    requests = _number(document.get("requests"))
    if requests is None:
        return None
    rails = {name.value: _map(document, name.value) for name in RailName}
    harm, proof, difference = (
        {name: value for name, rail in rails.items() if (value := read(rail.get(key))) is not None}
        for key, read in (("harm", _evidence), ("proof", _evidence), ("difference", _number))
    )
    return HistoryPoint(requests, harm, proof, difference)
