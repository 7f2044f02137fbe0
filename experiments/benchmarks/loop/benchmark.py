"""The benchmark `loop`, from its parts: one campaign, what its winner is worth, crashes, speeds.

    evolving-ai bench loop [--data FOLDER] [--json]

All work happens in a temporary folder that is gone at the end. `is_full` changes nothing: there is no heavier arm.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from evolving_ai.decision.outcome_table import load_outcomes
from evolving_ai.domain.dna import Genome
from experiments.benchmarks.bar import Bar, Outcome
from experiments.benchmarks.loop.crash import crash_bars
from experiments.benchmarks.loop.curves import curve_bars
from experiments.benchmarks.loop.latency import latency_bars
from experiments.benchmarks.loop.search import EVALUATIONS, evolve, quality_bars
from experiments.benchmarks.loop.speed import speed_bars
from experiments.benchmarks.loop.start_up import start_up_bars
from experiments.benchmarks.machine import describe_machine
from experiments.benchmarks.routing_table import routing_table

__all__ = ["run"]

Note = Callable[[str], None]


def run(folder: Path, *, is_full: bool, note: Note) -> Outcome:
    """Measure everything on the table of `folder`; `note` is told each figure as it is known."""
    del is_full
    table = routing_table(folder)
    note(f"table {table}")
    machine = describe_machine()
    start_s = time.monotonic()
    bars: list[Bar] = []
    with tempfile.TemporaryDirectory(prefix="evolving-ai-bench-") as scratch:
        note(f"campaign of {EVALUATIONS} evaluations")
        genome = evolve(Path(scratch) / "evolve", table, note)
        for bar in _measure(genome, table, Path(scratch), note):
            bars.append(bar)
            note(_line(bar, time.monotonic() - start_s))
    about = {
        "machine": machine,
        "evaluations": EVALUATIONS,
        "elapsed_s": round(time.monotonic() - start_s, 1),
        "dna": {"hash": genome.hash, "genes": dict(genome.genes)},
    }
    return Outcome(tuple(bars), table.name, about)


def _measure(genome: Genome, table: Path, scratch: Path, note: Note) -> Iterator[Bar]:
    yield from start_up_bars()
    train, test = (load_outcomes(table, split=split) for split in ("train", "test"))
    yield from quality_bars(genome, table, test)
    yield from curve_bars(genome, table, train, test)
    yield from latency_bars(genome, train, test)
    note("campaigns in process and on one and two actors")
    yield from speed_bars(scratch / "speed", table)
    note("campaigns that are killed")
    yield from crash_bars(scratch / "crash", table, note)


def _line(bar: Bar, elapsed_s: float) -> str:
    ends = "" if bar.interval is None else f" ({bar.interval[0]:.4g} to {bar.interval[1]:.4g})"
    verdict = "" if bar.limit is None else f", bar {bar.limit}: {'ok' if bar.ok else 'FALLS SHORT'}"
    return f"{elapsed_s:5.0f} s  {bar.name}: {bar.value:.5g} {bar.unit}{ends}{verdict}"
