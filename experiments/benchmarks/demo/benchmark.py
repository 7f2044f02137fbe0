"""The benchmark `demo`: the whole loop in one command from a fresh clone, and the statistics that it trusts.

    evolving-ai bench demo [--full] [--json]

The demo measures on the slice that comes with the source, whatever `--data` says. It runs from as many fresh clones as
RUNS says, `--full` from five in a row. All work happens in a temporary folder that is gone at the end.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from experiments.benchmarks.bar import Bar, Outcome
from experiments.benchmarks.demo.campaigns import campaign_bars
from experiments.benchmarks.demo.clone_runs import clone_bars, run_in_clone
from experiments.benchmarks.demo.simulation import simulation_bars
from experiments.benchmarks.machine import describe_machine

__all__ = ["run"]

Note = Callable[[str], None]

RUNS = 1
FULL_RUNS = 5


def run(folder: Path, *, is_full: bool, note: Note) -> Outcome:  # noqa: ARG001 - every benchmark is given a folder
    """Measure everything; `note` is told each figure as it is known."""
    machine, start_s = describe_machine(), time.monotonic()
    bars: list[Bar] = []
    with tempfile.TemporaryDirectory(prefix="ead") as scratch:
        for bar in _measure(Path(scratch), FULL_RUNS if is_full else RUNS, note):
            bars.append(bar)
            verdict = "" if bar.limit is None else f", bar {bar.limit}: {'ok' if bar.ok else 'FALLS SHORT'}"
            note(f"{time.monotonic() - start_s:5.0f} s  {bar.name}: {bar.value:.5g} {bar.unit}{verdict}")
    about = {"machine": machine, "elapsed_s": round(time.monotonic() - start_s, 1)}
    return Outcome(tuple(bars), "llmrouter_slice.parquet", about)


def _measure(scratch: Path, count: int, note: Note) -> Iterator[Bar]:
    runs = []
    for number in range(count):
        done = run_in_clone(scratch, number)
        runs.append(done)
        note(f"demo {number + 1} of {count}: {done.problem or 'ended well'}, {done.total_s:.0f} s, left: {done.left}")
    yield from clone_bars(runs)
    yield from campaign_bars()
    yield from simulation_bars()
