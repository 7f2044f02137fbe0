"""How often the controller of a rollout is wrong, and how many requests it needs: thousands of made-up rollouts.

Each is played through `RolloutController.observe`, with the default plan and a look after every request. Scores are
right or wrong, costs have a heavy tail, latencies and errors don't depend on the arm, and each
request is assigned anew.
"""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from types import MappingProxyType

import numpy as np

from evolving_ai._common.rng import derive_rng
from evolving_ai.rollout.controller import RolloutController
from evolving_ai.rollout.evidence import Observation, Verdict
from evolving_ai.rollout.plan import RolloutPlan
from experiments.benchmarks.bar import Bar, Limit

__all__ = ["SCENARIOS", "End", "Scenario", "ScenarioFigures", "play", "simulate", "simulation_bars"]

_SEED = 1
_RUNS = 1000
_POWER_RUNS = 500
_PROCESSES = 2
_HORIZON = 20_000
_PLAYS_AT_ONCE = 10
_DRAWS_AT_ONCE = 2048
_CONFIDENCE = 1.96


@dataclass(frozen=True, slots=True)
class Scenario:
    """A candidate that scores `points_worse` (of 100) less than the live DNA, at `cost_ratio` of its cost."""

    name: str
    points_worse: float
    cost_ratio: float
    mean_score: float = 0.65
    mean_cost_usd: float = 5e-4
    failing: float = 0.002
    runs: int = _POWER_RUNS


@dataclass(frozen=True, slots=True)
class End:
    """How a rollout ended. Neither promoted nor harmful: not shown to be safe at the horizon."""

    is_promoted: bool
    is_harmful: bool
    requests: int
    canary_requests: int


@dataclass(frozen=True, slots=True)
class ScenarioFigures:
    """The ends of one scenario. Shares are 0 to 1; those of requests count rollouts to their end or the horizon."""

    promoted: float
    harmful: float
    undecided: float
    runs: int
    median_requests: float
    p90_requests: float
    median_canary_requests: float
    p90_canary_requests: float


_SAME = "same quality, same cost"
_BOUNDARY = "3 points worse, a third of the cost"
_GOOD = "same quality, a third of the cost"
SCENARIOS = (
    Scenario(_SAME, 0, 1, runs=_RUNS),
    Scenario(_BOUNDARY, 3, 1 / 3, runs=_RUNS),
    Scenario("5 points worse, a third of the cost", 5, 1 / 3),
    Scenario("10 points worse, a third of the cost", 10, 1 / 3),
    Scenario("15 points worse, a third of the cost", 15, 1 / 3),
    Scenario(_GOOD, 0, 1 / 3),
)


def play(scenario: Scenario, plan: RolloutPlan, chance: np.random.Generator) -> End:
    """One rollout until its end."""
    controller = RolloutController(plan)
    while True:
        for position, request in _requests(scenario, chance):
            share = controller.share
            is_canary = position < share
            verdict = controller.observe(Observation(is_canary, share, *request[is_canary])).verdict
            if verdict in (Verdict.PROMOTE, Verdict.ROLL_BACK):
                canary, control = controller.counts
                is_harmful = any(rail.is_breached for rail in controller.evidence())
                return End(verdict is Verdict.PROMOTE, is_harmful, canary + control, canary)


def _requests(
    scenario: Scenario, chance: np.random.Generator
) -> Iterator[tuple[float, tuple[tuple[float, float, float, bool], tuple[float, float, float, bool]]]]:
    """Where each request lies between the arms, and what would come of it: under the live DNA, under the candidate."""
    position, luck, failing = chance.random((3, _DRAWS_AT_ONCE)).tolist()
    # A log-normal cost whose mean is the scenario's.
    cost_usd = (scenario.mean_cost_usd * chance.lognormal(-0.5, 1.0, _DRAWS_AT_ONCE)).tolist()
    latency_s = chance.lognormal(0.0, 0.5, _DRAWS_AT_ONCE).tolist()
    live, candidate = scenario.mean_score, scenario.mean_score - scenario.points_worse / 100
    for at, draw, fail, usd, seconds in zip(position, luck, failing, cost_usd, latency_s, strict=True):
        has_failed = fail < scenario.failing
        yield (
            at,
            (
                (float(draw < live), usd, seconds, has_failed),
                (float(draw < candidate), usd * scenario.cost_ratio, seconds, has_failed),
            ),
        )


def _plays(scenario: Scenario, plan: RolloutPlan, seed: int, runs: range) -> list[End]:
    return [play(scenario, plan, derive_rng(seed, "rollout", scenario.name, run)) for run in runs]


def simulate(
    scenarios: Sequence[Scenario] = SCENARIOS,
    *,
    runs: int | None = None,
    horizon: int = _HORIZON,
    seed: int = _SEED,
    processes: int = _PROCESSES,
) -> Mapping[str, ScenarioFigures]:
    """So many rollouts of each scenario (None: as many as it says), by its name.

    The same for the same seed, however many processes.
    """
    plan = RolloutPlan(max_requests=horizon)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        jobs = {
            scenario.name: [
                pool.submit(_plays, scenario, plan, seed, part)
                for part in _parts(scenario.runs if runs is None else runs)
            ]
            for scenario in scenarios
        }
        return MappingProxyType(
            {name: _figures([end for part in parts for end in part.result()]) for name, parts in jobs.items()}
        )


def _parts(runs: int) -> Iterator[range]:
    for first in range(0, runs, _PLAYS_AT_ONCE):
        yield range(first, min(first + _PLAYS_AT_ONCE, runs))


def _figures(ends: Sequence[End]) -> ScenarioFigures:
    promoted = sum(end.is_promoted for end in ends)
    harmful = sum(end.is_harmful for end in ends)
    requests = [end.requests for end in ends]
    canary = [end.canary_requests for end in ends]
    return ScenarioFigures(
        promoted=promoted / len(ends),
        harmful=harmful / len(ends),
        undecided=(len(ends) - promoted - harmful) / len(ends),
        runs=len(ends),
        median_requests=statistics.median(requests),
        p90_requests=float(np.quantile(requests, 0.9)),
        median_canary_requests=statistics.median(canary),
        p90_canary_requests=float(np.quantile(canary, 0.9)),
    )


def simulation_bars() -> tuple[Bar, ...]:
    """The error rates against what the plan promises, then what every scenario came to."""
    alpha = RolloutPlan().alpha
    figures = simulate()
    wrong = (
        ("harmless candidates rolled back for harm", figures[_SAME].harmful, figures[_SAME].runs),
        ("harmless candidates promoted without a saving", figures[_SAME].promoted, figures[_SAME].runs),
        ("candidates at the margin promoted", figures[_BOUNDARY].promoted, figures[_BOUNDARY].runs),
        ("candidates at the margin rolled back for harm", figures[_BOUNDARY].harmful, figures[_BOUNDARY].runs),
    )
    errors = [
        Bar(f"simulated rollouts: {name}", 100 * share, "%", Limit("<=", 100 * alpha), _interval(share, runs))
        for name, share, runs in wrong
    ]
    return (*errors, *(bar for scenario in SCENARIOS for bar in _scenario_bars(scenario.name, figures[scenario.name])))


def _scenario_bars(name: str, figures: ScenarioFigures) -> Iterator[Bar]:
    prefix = f"simulated rollouts, {name}"
    yield Bar(f"{prefix}: promoted", 100 * figures.promoted, "%", interval=_interval(figures.promoted, figures.runs))
    yield Bar(
        f"{prefix}: rolled back for harm", 100 * figures.harmful, "%", interval=_interval(figures.harmful, figures.runs)
    )
    yield Bar(f"{prefix}: undecided at the horizon", 100 * figures.undecided, "%")
    yield Bar(f"{prefix}: requests, median", figures.median_requests, "requests")
    yield Bar(f"{prefix}: requests, 90th percentile", figures.p90_requests, "requests")
    yield Bar(f"{prefix}: canary requests, median", figures.median_canary_requests, "requests")
    yield Bar(f"{prefix}: canary requests, 90th percentile", figures.p90_canary_requests, "requests")


def _interval(share: float, runs: int) -> tuple[float, float]:
    """Wilson's interval of a share, in percent."""
    square = _CONFIDENCE**2 / runs
    middle = (share + square / 2) / (1 + square)
    width = _CONFIDENCE * math.sqrt(share * (1 - share) / runs + square / (4 * runs)) / (1 + square)
    return 100 * max(0.0, middle - width), 100 * min(1.0, middle + width)
