"""Gates: what is asked of a candidate before any request sees it. Each may veto; none of them reads anything itself.

They are given what was measured on recorded outcomes, never on the rows that are kept for reporting, and say in one
line for people what they found.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from evolving_ai.domain.dna import Genome
from evolving_ai.domain.genes import GeneValue, SearchSpace
from evolving_ai.domain.mutation import Change, changes_between
from evolving_ai.domain.safety import safety_score
from evolving_ai.errors import GeneError

__all__ = [
    "MOST_DECISION_S",
    "PROTECTED",
    "GateName",
    "GateResult",
    "HeldOut",
    "PolicyCheck",
    "judge_cost",
    "judge_genome",
    "judge_hold_out",
    "judge_latency",
    "judge_protected",
    "judge_snapshot",
    "refusal",
]

MOST_DECISION_S = 0.005
"""Most that a decision may take (99th percentile): fifty times what the slowest sensible genome needs."""

_MOST_LATENCY = 1.5
"""Most that the mean recorded latency may be, as a multiple of the live DNA's."""

_SLACK = 1e-9  # sums of floats: exactly at a limit is within it

PROTECTED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "evaluators": ("evaluator.", "evolution."),
        "budgets": ("budget.", "optimizer."),
        "gates": ("gate.", "rollout."),
        "access rules": ("access.", "security."),
        "audit": ("audit.",),
        "sandbox": ("sandbox.",),
    }
)
"""What no DNA may touch, and how the names begin of genes and of components that would be part of it."""


class GateName(StrEnum):
    """The gates, in the order in which they are asked."""

    GENOME = "genome"
    PROTECTED = "protected"
    SNAPSHOT = "snapshot"
    HOLD_OUT = "hold_out"
    COST_LIMIT = "cost_limit"
    LATENCY_LIMIT = "latency_limit"


@dataclass(frozen=True, slots=True)
class GateResult:
    """What a gate said: `detail` is one line for people, `figures` are finite, with their units in their names."""

    name: GateName
    passed: bool
    detail: str
    figures: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in self.figures.values()):
            raise ValueError(f"gate {self.name.value} has a figure that is no number: {dict(self.figures)}")

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        return {
            "name": self.name.value,
            "passed": self.passed,
            "detail": self.detail,
            "figures": dict(self.figures),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "GateResult":
        """The result; KeyError, TypeError or ValueError when the document is something else."""
        figures = {str(name): float(value) for name, value in document["figures"].items()}
        return cls(GateName(document["name"]), bool(document["passed"]), str(document["detail"]), figures)


@dataclass(frozen=True, slots=True)
class PolicyCheck:
    """A fitted policy: the pool that it has to decide over, the models that it knows, and how it did.

    `has_only_numbers`: nothing that was fitted or predicted is infinite or undefined. `asked` prompts were put to it.
    """

    pool: tuple[str, ...]
    models: tuple[str, ...]
    has_only_numbers: bool
    asked: int


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The candidate and the live DNA on the same recorded requests, which neither was fitted on; `rows` names them.

    `quality`, `live_quality` and `difference` (candidate less live, from `low` to `high` with 95 %) are in points of
    100; costs in US dollars for 1,000 requests, latencies in seconds (None: not recorded). `unrecorded` is the share of
    requests for which the candidate's first choice was never recorded: its best recorded one was taken.
    """

    rows: str
    requests: int
    quality: float
    live_quality: float
    difference: float
    low: float
    high: float
    cost_usd_per_1k: float
    live_cost_usd_per_1k: float
    latency_s: float | None = None
    live_latency_s: float | None = None
    unrecorded: float = 0.0


def refusal(gate: GateName, reason: object) -> GateResult:
    """The veto of a gate that could not be asked."""
    lines = str(reason).splitlines() or [type(reason).__name__]
    return GateResult(gate, passed=False, detail=lines[0])


def judge_genome(candidate: Genome, live: Genome, space: SearchSpace) -> GateResult:
    """Invariants: exactly the active genes of the space, each with a legal value, and other DNA than the live one."""
    try:
        space.validate(candidate.genes)
    except GeneError as exc:
        return refusal(GateName.GENOME, exc)
    figures = {"genes": float(len(candidate.genes))}
    if candidate.hash == live.hash:
        return GateResult(GateName.GENOME, passed=False, detail="this DNA is live already", figures=figures)
    return GateResult(GateName.GENOME, passed=True, detail=f"{len(candidate.genes)} genes are legal", figures=figures)


def judge_protected(candidate: Genome, live: Genome, space: SearchSpace) -> GateResult:
    """No gene names what is protected, nor anything outside the space; the changes are listed."""
    changes = changes_between(live.genes, candidate.genes)
    figures = {"changes": float(len(changes)), "safety_score": safety_score(changes, space)}
    found = [f"{name} {why}" for name in candidate.genes if (why := _objection(name, space))]
    if found:
        return GateResult(GateName.PROTECTED, passed=False, detail="; ".join(found), figures=figures)
    listed = ", ".join(map(_shown, changes)) or "nothing"
    return GateResult(GateName.PROTECTED, passed=True, detail=f"nothing protected; changes {listed}", figures=figures)


def _objection(gene: str, space: SearchSpace) -> str | None:
    """Why the gene may not be there; None when it may."""
    names = [gene, f"{space.component_of(gene)}."] if gene in space else [gene]
    for what, prefixes in PROTECTED.items():
        if any(name.startswith(prefixes) for name in names):
            return f"names what is protected ({what})"
    return None if gene in space else "is no gene of the routing policy"


def _shown(change: Change) -> str:
    return f"{change.gene} {_value(change.before)} -> {_value(change.after)}"


def _value(value: GeneValue | None) -> str:
    if value is None:
        return "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def judge_snapshot(seen: PolicyCheck) -> GateResult:
    """A policy could be fitted, knows the pool and nothing else, holds finite numbers, and decided every prompt."""
    figures = {"models": float(len(seen.models)), "prompts": float(seen.asked)}
    wrong = sorted({*seen.pool} ^ {*seen.models})
    if wrong:
        detail = f"the policy and the pool of models differ in {', '.join(wrong)}"
    elif not seen.has_only_numbers:
        detail = "the policy holds or predicts something that is no finite number"
    else:
        detail = f"a policy for {len(seen.models)} models was fitted and decided {seen.asked} prompts"
        return GateResult(GateName.SNAPSHOT, passed=True, detail=detail, figures=figures)
    return GateResult(GateName.SNAPSHOT, passed=False, detail=detail, figures=figures)


def judge_hold_out(found: HeldOut | None, margin: float) -> GateResult:
    """The estimated quality is lower than the live DNA's by `margin` (0 to 1) at most; None: nothing was recorded."""
    if found is None:
        return GateResult(GateName.HOLD_OUT, passed=True, detail="no recorded outcomes: only live evidence will tell")
    passed = found.difference >= -100 * margin - _SLACK
    detail = (
        f"quality {found.difference:+.1f} points ({found.low:+.1f} to {found.high:+.1f}) on {found.requests} "
        f"{found.rows}, at least {-100 * margin:+.1f}"
    )
    if found.unrecorded:
        detail += f"; {found.unrecorded:.0%} of its first choices were never recorded"
    figures = {
        "difference_points": found.difference,
        "low_points": found.low,
        "high_points": found.high,
        "quality_points": found.quality,
        "live_quality_points": found.live_quality,
        "requests": float(found.requests),
        "unrecorded_share": found.unrecorded,
    }
    return GateResult(GateName.HOLD_OUT, passed, detail, figures)


def judge_cost(predicted: tuple[float, float], found: HeldOut | None, margin: float) -> GateResult:
    """Predicted and recorded cost are at most 1 + `margin` times the live DNA's.

    `predicted` is the candidate's and the live DNA's mean, in US dollars for 1,000 of the same requests.
    """
    pairs = {"predicted": predicted}
    if found is not None:
        pairs["recorded"] = (found.cost_usd_per_1k, found.live_cost_usd_per_1k)
    figures: dict[str, float] = {}
    for name, (own, live) in pairs.items():
        figures |= {f"{name}_usd_per_1k": own, f"live_{name}_usd_per_1k": live}
    passed = all(own <= live * (1 + margin) + _SLACK for own, live in pairs.values())
    shares = " and ".join(f"{name} {_share(own, live)}" for name, (own, live) in pairs.items())
    return GateResult(GateName.COST_LIMIT, passed, f"cost {shares}, at most {1 + margin:.0%}", figures)


def _share(own: float, live: float) -> str:
    return (
        f"{own / live:.0%} of the live DNA's" if live > 0 else f"{own:.6g} USD for 1,000 requests, the live DNA's is 0"
    )


def judge_latency(decisions_s: Sequence[float], found: HeldOut | None) -> GateResult:
    """Decisions are quick enough, and the models that it chooses were not much slower, where that was recorded."""
    slowest = _percentile_99(decisions_s)
    figures = {"decision_p99_ms": slowest * 1000}
    detail = f"decides in {slowest * 1000:.2f} ms (p99), at most {MOST_DECISION_S * 1000:g}"
    passed = slowest < MOST_DECISION_S
    if found is not None and found.latency_s is not None and found.live_latency_s is not None:
        own, live = found.latency_s, found.live_latency_s
        figures |= {"recorded_s": own, "live_recorded_s": live}
        detail += f"; answers took {own:.3g} s, the live DNA's {live:.3g}, at most {_MOST_LATENCY:g} times that"
        passed = passed and own <= live * _MOST_LATENCY + _SLACK
    return GateResult(GateName.LATENCY_LIMIT, passed, detail, figures)


def _percentile_99(values: Sequence[float]) -> float:
    """The 99th percentile by nearest rank; 0 for no value."""
    ordered = sorted(values)
    return ordered[math.ceil(0.99 * len(ordered)) - 1] if ordered else 0.0
