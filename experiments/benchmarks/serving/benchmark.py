"""The benchmark `serving`: throughput beside LiteLLM's proxy, live exchange, faults, autoscaling, money.

    evolving-ai bench serving [--data FOLDER] [--json]

Debian's nginx-light and wrk are installed where they are missing and it may; LiteLLM once, into the user's cache. All
work happens in a temporary folder that is gone at the end. `is_full` makes the storm of kills much longer.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from evolving_ai.decision.outcome_table import load_requests
from experiments.benchmarks.bar import Bar, Outcome
from experiments.benchmarks.machine import describe_machine
from experiments.benchmarks.routing_table import routing_table
from experiments.benchmarks.serving.exchange import exchange_bars
from experiments.benchmarks.serving.faults import budget_bars, fault_bars, lost_outcome_bar
from experiments.benchmarks.serving.money import money_bars
from experiments.benchmarks.serving.platform import running_platform
from experiments.benchmarks.serving.scaling import scaling_bars
from experiments.benchmarks.serving.start import start_bars
from experiments.benchmarks.serving.throughput import peer_bars, throughput_bars
from experiments.benchmarks.serving.upstream import fixed_upstream

__all__ = ["run"]

Note = Callable[[str], None]


def run(folder: Path, *, is_full: bool, note: Note) -> Outcome:
    """Measure everything, policies fitted on the table of `folder`; `note` is told each figure as it is known."""
    table = routing_table(folder).resolve()
    models = load_requests(table, split="train").models
    note(f"table {table}")
    machine = describe_machine()
    start_s = time.monotonic()
    bars: list[Bar] = []
    with tempfile.TemporaryDirectory(prefix="eas") as scratch:
        for bar in _measure(Path(scratch), table, models, note, is_full=is_full):
            bars.append(bar)
            verdict = "" if bar.limit is None else f", bar {bar.limit}: {'ok' if bar.ok else 'FALLS SHORT'}"
            note(f"{time.monotonic() - start_s:5.0f} s  {bar.name}: {bar.value:.5g} {bar.unit}{verdict}")
    about = {"machine": machine, "elapsed_s": round(time.monotonic() - start_s, 1), "profile": "direct"}
    return Outcome(tuple(bars), table.name, about)


def _measure(scratch: Path, table: Path, models: tuple[str, ...], note: Note, *, is_full: bool) -> Iterator[Bar]:
    answered: list[str] = []
    with fixed_upstream(scratch / "upstream") as upstream:
        with running_platform(scratch / "main", upstream, table, models) as platform:
            yield from start_bars(platform)
            ours = 0.0
            for bar in throughput_bars(platform, upstream, scratch):
                ours = bar.value if bar.name.startswith("throughput") and bar.unit == "requests/s" else ours
                yield bar
            yield from exchange_bars(platform, scratch, note)
            yield from fault_bars(platform, scratch, note, answered)
            yield from budget_bars(platform)
        yield lost_outcome_bar(platform.home, answered)
        yield from peer_bars(upstream, scratch, ours)
        yield from scaling_bars(scratch / "scaling", upstream, table, models, note)
    yield from money_bars(scratch / "money", is_full=is_full)
