"""The simulation of rollouts: its figures add up, and are the same for the same seed."""

import pytest

from evolving_ai._common.rng import derive_rng
from evolving_ai.rollout.plan import RolloutPlan
from experiments.benchmarks.demo.simulation import SCENARIOS, Scenario, play, simulate

HORIZON = 150


def test_figures_are_the_same_however_many_processes_make_them() -> None:
    scenarios = (SCENARIOS[0], Scenario("hopeless", 60, 20))
    one = simulate(scenarios, runs=12, horizon=HORIZON, processes=1)
    two = simulate(scenarios, runs=12, horizon=HORIZON, processes=2)
    assert one == two
    assert {name: figures.runs for name, figures in one.items()} == {scenario.name: 12 for scenario in scenarios}
    for figures in one.values():
        assert figures.promoted + figures.harmful + figures.undecided == pytest.approx(1.0)
        assert figures.median_canary_requests < figures.median_requests <= HORIZON


def test_a_rollout_ends_at_the_horizon_at_the_latest() -> None:
    end = play(SCENARIOS[0], RolloutPlan(max_requests=HORIZON), derive_rng(1, "horizon"))
    assert (end.requests, end.is_promoted, end.is_harmful) == (HORIZON, False, False)


def test_the_same_seed_plays_the_same_rollout() -> None:
    plan = RolloutPlan(max_requests=1000)
    ends = [play(SCENARIOS[4], plan, derive_rng(7, "again")) for _ in range(2)]
    assert ends[0] == ends[1]
