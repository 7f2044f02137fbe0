"""Start-up: whole processes, from the shell's point of view; the best of five, so with warm file caches."""

import subprocess  # nosec B404 - runs our own command line
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from experiments.benchmarks.bar import Bar, Limit

__all__ = ["start_up_bars"]

_RUNS = 5


def start_up_bars() -> Iterator[Bar]:
    """`import evolving_ai`, and `evolving-ai --help`."""
    command = str(Path(sys.executable).with_name("evolving-ai"))
    yield Bar("import evolving_ai", _best_s([sys.executable, "-c", "import evolving_ai"]), "s", Limit("<", 0.3))
    yield Bar("evolving-ai --help", _best_s([command, "--help"]), "s", Limit("<", 0.5))


def _best_s(command: Sequence[str]) -> float:
    return min(_once_s(command) for _ in range(_RUNS))


def _once_s(command: Sequence[str]) -> float:
    start_s = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 # nosec B603 - our own command
    return time.perf_counter() - start_s
