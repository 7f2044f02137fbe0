"""A demonstration without a platform: scripted answers of the API, time that passes when it is waited for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evolving_ai._common.clock import ManualClock
from evolving_ai.decision.features import RequestView
from evolving_ai.decision.outcome_table import OutcomeTable
from evolving_ai.demo.demonstration import Demonstration
from evolving_ai.demo.record import DemoRecord
from evolving_ai.demo.settings import DemoSettings
from evolving_ai.demo.traffic import Traffic
from evolving_ai.serving.replay_provider.faults import FaultKind

__all__ = ["FakePlatform", "HeardTeller", "demonstration", "outcomes", "rollout_view"]


@dataclass
class HeardTeller:
    """Keeps what it is told."""

    begun: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)

    def begin(self, step: int, steps: int, title: str) -> None:
        self.begun.append(f"{step}/{steps} {title}")

    def tell(self, text: str) -> None:
        self.told.append(text)

    def show(self, text: str) -> None:
        self.shown.append(text)


@dataclass
class FakePlatform:
    """`answers` holds, for a method and a path, what is answered in turn; the last one again and again."""

    home: Path = Path("home")
    answers: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    faults: list[tuple[str, FaultKind | None, int | None]] = field(default_factory=list)
    breaker_states: list[Mapping[str, Mapping[str, str]]] = field(default_factory=list)
    problem: Exception | None = None

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        self.asked.append((method, path, body))
        script = self.answers[method, path]
        document: dict[str, Any] = script.pop(0) if len(script) > 1 else script[0]
        return document

    def check(self) -> None:
        if self.problem is not None:
            raise self.problem

    def target_of(self, model: str) -> str:
        return f"replay/{model}"

    def breakers(self, looks: int) -> Mapping[str, Mapping[str, str]]:
        return self.breaker_states.pop(0) if len(self.breaker_states) > 1 else self.breaker_states[0]

    def order_fault(self, model: str, kind: FaultKind | None, *, status: int | None = None) -> None:
        self.faults.append((model, kind, status))


def demonstration(
    platform: FakePlatform | None = None,
    *,
    settings: DemoSettings | None = None,
    while_waiting: Callable[[Demonstration], None] | None = None,
) -> Demonstration:
    """One whose pauses move a `ManualClock`; `while_waiting` is called in each of them."""
    clock = ManualClock()

    def pause(seconds: float) -> None:
        clock.advance(seconds)
        if while_waiting is not None:
            while_waiting(demo)

    wanted = settings or DemoSettings()
    traffic = Traffic("http://gateway", "key", ["a question"], clock, seed=1, most_in_flight=wanted.most_in_flight)
    table = outcomes([[1.0, 0.0], [1.0, 1.0]], [[2e-4, 1e-4], [2e-4, 1e-4]])
    world = platform or FakePlatform()
    demo = Demonstration(wanted, world, traffic, table, table, DemoRecord(), HeardTeller(), clock, pause)
    return demo


def outcomes(score: list[list[float]], cost_usd: list[list[float]]) -> OutcomeTable:
    """A table of models m0, m1, ... and as many questions as there are rows."""
    rows, models = len(score), len(score[0])
    return OutcomeTable(
        query_ids=tuple(f"q{row}" for row in range(rows)),
        models=tuple(f"m{column}" for column in range(models)),
        requests=tuple(RequestView(f"question {row}", 3) for row in range(rows)),
        score=np.array(score),
        cost_usd=np.array(cost_usd),
    )


def rollout_view(state: str, **changes: Any) -> dict[str, Any]:
    """What the API says of a rollout."""
    view: dict[str, Any] = {
        "id": "rollout-1",
        "state": state,
        "share": 0.1 if state == "canary" else None,
        "candidate": {"commit": "c" * 64, "dna_hash": "d" * 64},
        "requests": {"canary": 10, "control": 90},
        "gates": [{"name": "hold_out", "passed": True, "detail": "fine", "figures": {}}],
        "rails": [],
        "transitions": [{"reason": "because of the evidence"}],
        "exchange": None,
    }
    return {**view, **changes}
