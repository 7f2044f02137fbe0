"""Real processes that spend money from real books, killed with -9 at random moments."""

from pathlib import Path
from tempfile import TemporaryDirectory

from experiments.benchmarks.serving.spend_storm import StormPlan, run_storm

SIZE = StormPlan(replicas=3, rounds=5, round_s=0.5, seed=11)


def test_no_budget_is_exceeded_and_nothing_is_counted_twice_whoever_is_killed() -> None:
    with TemporaryDirectory() as folder:  # a short path, for its Unix socket
        figures = run_storm(Path(folder), SIZE)

    assert figures.faults == ()
    assert sum(figures.kills.values()) == SIZE.rounds
    assert set(figures.kills) == {"control", "replica"}
    assert figures.attempts > 0
    assert figures.refusals > 0
