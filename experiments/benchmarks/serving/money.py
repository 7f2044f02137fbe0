"""The books of money in a storm: replicas and the books themselves killed with -9 at random moments."""

from collections.abc import Iterator
from pathlib import Path

from experiments.benchmarks.bar import Bar, Limit
from experiments.benchmarks.serving.spend_storm import StormPlan, run_storm

__all__ = ["money_bars"]

_ROUNDS = 25
_FULL_ROUNDS = 400


def money_bars(scratch: Path, *, is_full: bool) -> Iterator[Bar]:
    """One storm; `is_full` makes it much longer."""
    scratch.mkdir()
    figures = run_storm(scratch, StormPlan(rounds=_FULL_ROUNDS if is_full else _ROUNDS))
    kills = sum(figures.kills.values())
    yield Bar("storm of kills: broken invariants of the books", len(figures.faults), f"in {kills} kills", Limit("=", 0))
    yield Bar("storm of kills: attempts settled", figures.attempts, "attempts")
