"""The benchmark `demo`: the whole loop in one command from a fresh clone, and the statistics that it trusts.

    evolving-ai bench demo [--json]

The demo runs five times in a row, each time from a fresh clone in an empty home, on the slice that comes with the
source whatever `--data` says. All work happens in a temporary folder that is gone at the end. There is no arm that is
heavier: `--full` changes nothing.
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

RUNS = 5


def run(folder: Path, *, is_full: bool, note: Note) -> Outcome:  # noqa: ARG001 - as every benchmark is called
    """Measure everything; `note` is told each figure as it is known."""
    machine, start_s = describe_machine(), time.monotonic()
    bars: list[Bar] = []
    with tempfile.TemporaryDirectory(prefix="ead") as scratch:
        for bar in _measure(Path(scratch), note):
            bars.append(bar)
            verdict = "" if bar.limit is None else f", bar {bar.limit}: {'ok' if bar.ok else 'FALLS SHORT'}"
            note(f"{time.monotonic() - start_s:5.0f} s  {bar.name}: {bar.value:.5g} {bar.unit}{verdict}")
    about = {"machine": machine, "elapsed_s": round(time.monotonic() - start_s, 1)}
    return Outcome(tuple(bars), "llmrouter_slice.parquet", about)


def _measure(scratch: Path, note: Note) -> Iterator[Bar]:
    runs = []
    for number in range(RUNS):
        done = run_in_clone(scratch, number)
        runs.append(done)
        note(f"demo {number + 1} of {RUNS}: {done.problem or 'ended well'}, {done.total_s:.0f} s, left: {done.left}")
    yield from clone_bars(runs)
    yield from campaign_bars()
    yield from simulation_bars()
