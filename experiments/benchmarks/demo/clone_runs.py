"""Demonstrations as a stranger runs them: a fresh clone, an empty home, the README's first block, again and again.

What is told of each: whether it ended well, how long it took with and without the installation, the most memory that
all its processes took at once, and what it left behind: processes (and with them their ports), and files outside its
clone, its demo home and the caches of pip.
"""

import json
import os
import subprocess  # nosec B404 - git and the project's own commands
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from evolving_ai._common.processes import marked_processes, memory_bytes
from experiments.benchmarks.bar import Bar, Limit

__all__ = ["CloneRun", "clone_bars", "run_in_clone"]

_MARK_VARIABLE = "EVOLVING_AI_BENCH_RUN"
_SAMPLE_EVERY_S = 0.5
_GONE_WITHIN_S = 10.0
_TIMEOUT_S = 900.0
_DEMO_HOME = ".evolving-ai-demo"
_EXPECTED = (_DEMO_HOME, ".cache")
_BASH = "/bin/bash"
_ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class CloneRun:
    """One run. `record` is what the demo wrote down; None when it failed, and `problem` then says why."""

    record: dict[str, Any] | None
    problem: str
    total_s: float
    peak_bytes: int
    left: tuple[str, ...]


class _Memory:
    """The most memory (proportional set sizes) that the marked processes took at once; looked at twice a second."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory")
        self.peak_bytes = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(_SAMPLE_EVERY_S):
            sizes = (memory_bytes(process_id) for process_id in marked_processes(self._mark))
            self.peak_bytes = max(self.peak_bytes, sum(size or 0 for size in sizes))


def run_in_clone(scratch: Path, number: int) -> CloneRun:
    """Clone what is committed, and run the README's first block with an empty home."""
    clone, home, temporary = scratch / f"clone-{number}", scratch / f"home-{number}", scratch / f"tmp-{number}"
    for folder in (home, temporary):
        folder.mkdir(parents=True)
    _command(["git", "clone", "--quiet", str(_ROOT), str(clone)])
    block = _command([sys.executable, str(clone / ".ci" / "fence.py"), str(clone / "README.md"), "1"])
    mark = f"{os.getpid()}-{number}"
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name == "PATH"}
    # pip asks rustc for its version, whose proxy would make a folder in an empty home.
    kept["PATH"] = os.pathsep.join(part for part in kept["PATH"].split(os.pathsep) if ".cargo" not in part)
    environment = {**kept, "HOME": str(home), "TMPDIR": str(temporary), _MARK_VARIABLE: mark}
    started_s = time.monotonic()
    with _Memory(f"{_MARK_VARIABLE}={mark}") as memory:
        done = subprocess.run(  # noqa: S603 # nosec B603 - the project's own block
            [_BASH, "-euo", "pipefail", "-c", block],
            cwd=clone, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False,
        )  # fmt: skip
    total_s = time.monotonic() - started_s
    left = (*_left_running(f"{_MARK_VARIABLE}={mark}"), *_left_files(home, temporary))
    problem = "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    record = json.loads((home / _DEMO_HOME / "report.json").read_bytes()) if not problem else None
    return CloneRun(record, problem, total_s, memory.peak_bytes, left)


def clone_bars(runs: list[CloneRun]) -> Iterator[Bar]:
    """What the runs came to; the worst of each figure."""
    records = [run.record for run in runs if run.record is not None]
    yield Bar("demo: runs in a row from fresh clones that ended well", len(records), "runs", Limit("=", len(runs)))
    yield Bar(
        "demo: processes (with their ports) and files left outside its home",
        sum(len(run.left) for run in runs),
        "",
        Limit("=", 0),
    )
    peak = max(run.peak_bytes for run in runs) / 2**30
    yield Bar("demo: most memory of all its processes at once (PSS)", peak, "GiB", Limit("<", 6))
    if not records:
        return
    yield Bar("demo: slowest run without installation", max(r["seconds"] for r in records), "s", Limit("<", 300))
    yield Bar("demo: slowest run with installation", max(run.total_s for run in runs), "s")
    yield from _rollout_bars(records)
    yield from _row_bars(records)


def _rollout_bars(records: list[dict[str, Any]]) -> Iterator[Bar]:
    good, bad = ([record[part] for record in records] for part in ("good", "bad"))
    yield Bar(
        "demo: breach seen until every replica was rolled back", max(b["exchange_s"] for b in bad), "s", Limit("<", 1)
    )
    yield Bar(
        "demo: how much worse the harmful DNA was, least",
        min(r["expected_harm"] for r in records),
        "points",
        Limit(">=", 15),
    )
    yield Bar(
        "demo: canary requests that caught the harm, most",
        max(b["view"]["requests"]["canary"] for b in bad),
        "requests",
    )
    yield Bar(
        "demo: slowest traffic during a rollout",
        min(g["requests_per_s"] for g in (*good, *bad)),
        "requests/s",
        Limit(">=", 150),
    )
    failed = sum(r["good"]["failed"] + r["bad"]["failed"] + r["outage"]["failed"] for r in records)
    yield Bar("demo: requests that failed in rollouts and the outage", failed, "requests", Limit("=", 0))


def _row_bars(records: list[dict[str, Any]]) -> Iterator[Bar]:
    rows = {row["name"]: row for row in records[-1]["rows"]}
    evolved, seed = rows["evolved DNA"], rows["seed DNA"]
    yield Bar("demo: quality evolved less seed, last run", evolved["quality"] - seed["quality"], "points")
    share = 100 * evolved["cost_usd_per_1k"] / seed["cost_usd_per_1k"]
    yield Bar("demo: cost evolved of seed, last run", share, "%")


def _command(arguments: list[str]) -> str:
    done = subprocess.run(  # noqa: S603 # nosec B603 - git and our own program
        arguments, capture_output=True, text=True, check=True
    )
    return done.stdout


def _left_running(mark: str) -> list[str]:
    give_up_s = time.monotonic() + _GONE_WITHIN_S
    while (left := marked_processes(mark)) and time.monotonic() < give_up_s:
        time.sleep(0.2)
    return [f"process {process_id}" for process_id in left]


def _left_files(home: Path, temporary: Path) -> list[str]:
    found = [path for path in home.iterdir() if path.name not in _EXPECTED]
    return [str(path) for path in (*found, *temporary.iterdir())]
