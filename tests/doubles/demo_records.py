"""A demonstration that never took place, in every detail as a real one would record it.

Its rollouts are ruled by the real controller, over requests drawn with a fixed seed.
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from evolving_ai._common.canonical import sha256_hex
from evolving_ai.demo.record import DemoRecord, Mark, MeasuredRow, OutageFigures, RolloutFigures, TrafficSecond
from evolving_ai.rollout.controller import RolloutController
from evolving_ai.rollout.evidence import Observation, Verdict
from evolving_ai.rollout.plan import RolloutPlan

__all__ = ["demo_record"]

_BEGAN = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)
_QWEN, _GEMMA, _NEMOTRON, _LLAMA = (
    "qwen2.5-7b-instruct",
    "gemma-2-9b-it",
    "llama-3.1-nemotron-51b-instruct",
    "llama-3.1-8b-instruct",
)
_MODELS = (_QWEN, _GEMMA, _NEMOTRON, _LLAMA, "mistral-7b-instruct-v0.3", "llama-3.3-nemotron-super-49b-v1")
_SEED, _EVOLVED, _HARMFUL = (sha256_hex(name.encode()) for name in ("seed", "evolved", "harmful"))
_RATE = 400


@dataclass(frozen=True)
class _Arm:
    """What requests of an arm are like."""

    quality: float
    cost_usd: float
    latency_s: float


_LIVE = _Arm(0.665, 0.000254, 0.36)
_GOOD = _Arm(0.668, 0.000061, 0.19)
_BAD = _Arm(0.47, 0.000035, 0.17)


def demo_record() -> DemoRecord:
    """Everything went as it should."""
    chance = random.Random(11)  # noqa: S311 - invented data
    candidates = [_candidate(chance) for _ in range(120)]
    return DemoRecord(
        started=_BEGAN.isoformat(),
        seconds=203.4,
        latency_scale=0.1,
        rows=_rows(),
        candidates=candidates,
        front=_front(candidates),
        campaign={"id": "20260314-092701-7f3a", "state": "budget_exhausted", "iterations": 120, "elapsed_s": 61.2},
        good=_rollout("good", _EVOLVED, _SEED, _LIVE, _GOOD, started_at=96.0),
        bad=_rollout("bad", _HARMFUL, _EVOLVED, _GOOD, _BAD, started_at=140.0),
        bad_model=_GEMMA,
        outage=OutageFigures(_QWEN, 5.0, 2011, 0, 219, 0.42, 1.31),
        traffic=_traffic(chance),
        marks=[
            Mark(22.0, "campaign begins"),
            Mark(83.4, "campaign ends"),
            Mark(93.8, "gating"),
            Mark(96.0, "canary 10%"),
            Mark(99.1, "canary 50%"),
            Mark(113.8, "promoted"),
            Mark(137.8, f"{_GEMMA} gets worse"),
            Mark(137.8, "gating"),
            Mark(140.0, "canary 10%"),
            Mark(144.6, "rolled back"),
            Mark(144.7, f"{_GEMMA} is well again"),
            Mark(160.0, "outage"),
            Mark(166.3, "return"),
        ],
        lineage=_lineage(),
        gain=(0.3, -1.9, 2.5),
    )


def _rows() -> list[MeasuredRow]:
    evolved = {_QWEN: 0.71, _LLAMA: 0.15, _GEMMA: 0.08, _NEMOTRON: 0.06}
    oracle = {_GEMMA: 0.55, _QWEN: 0.2, _LLAMA: 0.1, _NEMOTRON: 0.15}
    return [
        MeasuredRow("cheapest model", 58.9, 55.4, 62.3, 0.0282, 0.171, 0.262, {_GEMMA: 1.0}),
        MeasuredRow("seed DNA", 66.5, 62.9, 69.8, 0.2539, 0.366, 0.611, {_NEMOTRON: 1.0}),
        MeasuredRow("evolved DNA", 66.8, 63.3, 70.2, 0.0607, 0.189, 0.402, evolved),
        MeasuredRow("oracle", 87.4, 85.1, 89.5, 0.0571, 0.182, 0.377, oracle),
    ]


def _candidate(chance: random.Random) -> tuple[float, float]:
    cost = 0.028 + 0.24 * chance.random() ** 2
    best = 58.5 + 9.2 * (1 - math.exp(-(cost - 0.024) / 0.03))
    return round(cost, 5), round(best - abs(chance.gauss(0, 2.2)), 3)


def _front(candidates: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    front: list[tuple[float, float]] = []
    for cost, quality in sorted(candidates):
        if not front or quality > front[-1][1]:
            front.append((cost, quality))
    return front


def _traffic(chance: random.Random) -> list[TrafficSecond]:
    seconds = []
    for at_s in range(4, 200):
        shares = _shares(at_s)
        rate = (120 if at_s < 96 else _RATE) * (1 + chance.gauss(0, 0.03))
        answers = {model: round(rate * share) for model, share in shares.items() if rate * share >= 1}
        seconds.append(TrafficSecond(at_s, answers, 0))
    return seconds


def _shares(at_s: int) -> Mapping[str, float]:
    evolved = dict(zip(_MODELS, (0.66, 0.09, 0.06, 0.14, 0.03, 0.02), strict=True))
    if at_s < 96:
        return {_NEMOTRON: 1.0}
    if at_s < 114:
        part = 0.1 if at_s < 99 else 0.5
        return {model: part * share + (1 - part) * (model == _NEMOTRON) for model, share in evolved.items()}
    if 160 <= at_s < 166:
        return {**evolved, _QWEN: 0.01, _LLAMA: evolved[_LLAMA] + evolved[_QWEN] - 0.01}
    return evolved


def _rollout(
    name: str, candidate: str, incumbent: str, live: _Arm, other: _Arm, *, started_at: float
) -> RolloutFigures:
    plan, chance = RolloutPlan(), random.Random(name)  # noqa: S311 - invented data
    controller = RolloutController(plan)
    began = _BEGAN + timedelta(seconds=started_at - 2.2)
    transitions = [_transition(began, "gating", None, "")]
    transitions.append(
        _transition(began + timedelta(seconds=2.2), "canary", controller.share, "every gate let it pass")
    )
    for number in range(plan.max_requests):
        ruling = controller.observe(_observation(chance, controller.share, live, other))
        at = began + timedelta(seconds=2.2 + number / _RATE)
        if ruling.verdict is Verdict.GROW:
            transitions.append(_transition(at, "canary", controller.share, ruling.reason))
        elif ruling.verdict is not Verdict.GO_ON:
            state = "promoted" if ruling.verdict is Verdict.PROMOTE else "rolled_back"
            transitions.append(_transition(at, state, None, ruling.reason))
            break
    canary, control = controller.counts
    view = {
        "id": f"rollout-{name}",
        "state": transitions[-1]["state"],
        "reason": transitions[-1]["reason"],
        "actor": "demo",
        "started": transitions[0]["at"],
        "ended": transitions[-1]["at"],
        "candidate": {"commit": candidate, "dna_hash": sha256_hex(candidate.encode())},
        "incumbent": {"commit": incumbent, "dna_hash": sha256_hex(incumbent.encode())},
        "plan": plan.to_json(),
        "stage": None,
        "share": None,
        "requests": {"canary": canary, "control": control},
        "gates": _gates(),
        "rails": [rail.to_json() for rail in controller.evidence()],
        "history": [point.to_json() for point in controller.history],
        "transitions": transitions,
        "exchange": None,
    }
    exchange_s = 0.183 if view["state"] == "rolled_back" else None
    took = 2.2 + (canary + control) / _RATE
    return RolloutFigures(view, took, canary + control, 0, float(_RATE), exchange_s)


def _observation(chance: random.Random, share: float, live: _Arm, other: _Arm) -> Observation:
    is_canary = chance.random() < share
    arm = other if is_canary else live
    score = 1.0 if chance.random() < arm.quality else 0.0
    cost, latency = (mean * chance.lognormvariate(-0.125, 0.5) for mean in (arm.cost_usd, arm.latency_s))
    return Observation(is_canary, share, score, cost, latency, has_failed=False)


def _transition(at: datetime, state: str, share: float | None, reason: str) -> dict[str, Any]:
    return {"at": at.isoformat(), "state": state, "share": share, "reason": reason, "actor": "demo", "evidence": {}}


def _gates() -> list[dict[str, Any]]:
    told = (
        ("genome", "27 genes, all legal; 14 differ from the live DNA", {"genes": 27, "changed": 14}),
        (
            "protected",
            "nothing protected; changes " + ", ".join(f"features.gene_{number} 1 -> 2" for number in range(14)),
            {"safety_score": 0.71},
        ),
        ("snapshot", "200 of 200 prompts decided over 9 models", {"prompts": 200, "failed": 0}),
        (
            "hold_out",
            "0.4 points better than the live DNA on 364 validation questions (-1.9 to 2.6)",
            {"difference": 0.41, "low": -1.92, "high": 2.63, "questions": 364},
        ),
        (
            "cost_limit",
            "$0.0612 for 1,000 requests, 24 % of the live DNA's",
            {"cost_usd_per_1k": 0.0612, "share": 0.24},
        ),
        ("latency_limit", "p99 of a decision 0.31 ms; no recorded latencies", {"p99_s": 0.00031}),
    )
    return [{"name": name, "passed": True, "detail": detail, "figures": figures} for name, detail, figures in told]


def _lineage() -> list[dict[str, Any]]:
    return [
        _commit(_SEED, (), "evolving-ai", "Seed genome: every gene's default", 0, []),
        _commit(
            _EVOLVED,
            (_SEED,),
            "campaign 20260314-092701-7f3a",
            "Winner of the campaign: the best in quality that costs at most 35 % of the best single model",
            83,
            [
                ("classes.learner", "off", "logistic"),
                ("clusters.count", 8, 27),
                ("clusters.share", 0.0, 0.0520630516574),
                ("cost.predictor", "mean", "grouped"),
                ("features.bits", 10, 11),
                ("features.char_ngrams", "none", "3-4"),
                ("features.head_chars", 400, 167),
                ("quality.predictor", "mean", "blend"),
                ("quality.residual", "off", "on"),
                ("quality.residual_ridge_log2", None, 3),
                ("quality.shrinkage", 8.0, 1.332704491442053),
                ("score.caution", 0.0, 0.7547685465598097),
                ("score.cost_weight", 0.0, 0.29163436991999814),
            ],
        ),
        _commit(
            _HARMFUL,
            (_EVOLVED,),
            "demo",
            "Spend less: weigh cost more",
            138,
            [("score.cost_weight", 0.29163436991999814, 1.4581718495999907)],
        ),
    ]


def _commit(
    name: str,
    parents: tuple[str, ...],
    author: str,
    message: str,
    at_s: float,
    changes: Sequence[tuple[str, object, object]],
) -> dict[str, Any]:
    shown = [{"gene": gene, "before": before, "after": after} for gene, before, after in changes]
    mutation = {
        "id": name[:8],
        "type": "cma",
        "target_components": [],
        "changes": shown,
        "safety_score": 0.71,
        "test_results": {},
    }
    return {
        "hash": name,
        "dna_hash": sha256_hex(name.encode()),
        "parents": list(parents),
        "author": author,
        "time": (_BEGAN + timedelta(seconds=at_s)).isoformat(),
        "message": message,
        "mutation": mutation if changes else None,
        "evaluations": [],
    }
