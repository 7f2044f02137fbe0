"""A storm over the money kernel: processes that spend, kill -9 of replicas and of the books at random moments.

Every round raises the caps a little, lets the replicas spend it, and kills one process. Afterwards the books are
compared with what the replicas' own logs say. Nothing is judged here: `StormFigures.faults` lists what is wrong.
"""

import asyncio
import json
import signal
import subprocess  # nosec B404 - runs our own processes
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from evolving_ai._common.clock import SystemClock
from evolving_ai._common.rng import derive_rng
from evolving_ai.optimizer.budgets import BudgetBook, BudgetStatus
from evolving_ai.stores.ports.spend import SpendQuery
from evolving_ai.stores.sqlite.spend_store import SqliteSpendStore
from experiments.benchmarks.serving.spend_process import BUDGETS, KEYS, OPTIONS, TENANT, call

__all__ = ["StormFigures", "StormPlan", "run_storm"]

_SCRIPT = "experiments.benchmarks.serving.spend_process"
_ROOT = Path(__file__).parents[3]
_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class StormPlan:
    """`rounds` kills, each after a random time of up to `round_s`, of one of `replicas` replicas or the books."""

    replicas: int = 4
    rounds: int = 40
    round_s: float = 1.0
    step_nano_usd: int = 2_000_000
    seed: int = 1


@dataclass(frozen=True, slots=True)
class StormFigures:
    """What came of it, in nano-dollars: by scope what the logs say was spent, and what the books say."""

    cap: int
    kills: dict[str, int]
    attempts: int
    refusals: int
    overruns: int
    forgotten: int
    spent: dict[str, int]
    settled: dict[str, int]
    forfeited: dict[str, int]
    leased: dict[str, int]
    rolled_up: dict[str, int]
    early: tuple[str, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """Everything that must not be, a line each."""
        found = list(self.early)
        for scope in BUDGETS:
            spent, settled = self.spent[scope], self.settled[scope]
            counted = settled + self.forfeited[scope]
            checks = {
                f"{scope}: {spent} spent of {self.cap}": spent <= self.cap,
                f"{scope}: {counted} counted of {self.cap}": counted <= self.cap,
                f"{scope}: {spent} spent, only {counted} counted": spent <= counted,
                f"{scope}: {settled} settled, only {spent} spent": settled <= spent,
                f"{scope}: {self.leased[scope]} still leased": self.leased[scope] == 0,
                f"{scope}: {self.rolled_up[scope]} rolled up, {settled} settled": self.rolled_up[scope] == settled,
            }
            found += [what for what, holds in checks.items() if not holds]
        if self.overruns or self.forgotten:
            found.append(f"{self.overruns} overruns, {self.forgotten} forgotten reservations")
        return tuple(found)


class _Storm:
    """The processes of one storm in one folder."""

    def __init__(self, folder: Path, plan: StormPlan) -> None:
        self.folder = folder
        self.plan = plan
        self.chance = derive_rng(plan.seed, "storm")
        self.control: subprocess.Popen[str] | None = None
        self.replicas: list[subprocess.Popen[str]] = []
        self.kills: Counter[str] = Counter()
        self.early: list[str] = []
        self.cap = 0
        self._started = 0

    def start_control(self) -> None:
        self.control = self._start("control")

    def start_replica(self) -> None:
        self._started += 1
        self.replicas.append(self._start("replica", f"r{self._started}", str(self.plan.seed + self._started)))

    def _start(self, role: str, *more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", _SCRIPT, role, str(self.folder), *more]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT)  # noqa: S603 # nosec B603
        if process.stdout is None or process.stdout.readline() != "ready\n":
            _end(process)
            raise RuntimeError(f"the {role} of the storm did not start: exit code {process.returncode}")
        return process

    async def raise_cap(self) -> None:
        self.cap += self.plan.step_nano_usd
        await call(self.folder, "set_cap", cap=self.cap)

    async def round(self) -> None:
        """Let them spend, look whether they spent too much, kill one, and go on."""
        await self.raise_cap()
        await asyncio.sleep(self.chance.uniform(0.1, self.plan.round_s))
        if self.chance.random() < 0.4 and self.control is not None:
            _end(self.control)
            self.kills["control"] += 1
            await asyncio.sleep(self.chance.uniform(0, self.plan.round_s / 2))
            self.start_control()
        else:
            _end(self.replicas.pop(int(self.chance.integers(len(self.replicas)))))
            self.kills["replica"] += 1
            self.start_replica()
        spent = self.logged()
        self.early += [
            f"{scope}: {spent[scope]} spent of {self.cap} in between" for scope in BUDGETS if spent[scope] > self.cap
        ]

    def logged(self) -> Counter[str]:
        """By scope what the logs say was spent; `attempts` and `refusals` count lines."""
        spent: Counter[str] = Counter()
        for log in self.folder.glob("*.log"):
            for line in log.read_text().split("\n")[:-1]:  # what follows the last line end was never finished
                what, cost = line.split()
                if what in KEYS:
                    spent[f"key:{what}"] += int(cost)
                    spent[f"tenant:{TENANT}"] += int(cost)
                spent["attempts" if what in KEYS else "refusals"] += 1
        return spent

    def stop(self) -> Counter[str]:
        """End everything properly; what the replicas say they counted."""
        counts: Counter[str] = Counter()
        for process in self.replicas:
            process.send_signal(signal.SIGTERM)
        for process in self.replicas:
            output, _ = process.communicate(timeout=_PATIENCE_S)
            if process.returncode:
                self.early.append(f"a replica ended with exit code {process.returncode}")
                continue
            counts.update(_last_words(output))
        if self.control is not None:
            self.control.send_signal(signal.SIGTERM)
            self.control.communicate(timeout=_PATIENCE_S)
        return counts

    def kill_all(self) -> None:
        for process in filter(None, [self.control, *self.replicas]):
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """Kill -9, and wait until it is gone."""
    process.kill()
    process.communicate()


def _last_words(output: str) -> dict[str, int]:
    counts: dict[str, int] = json.loads(output.splitlines()[-1])
    return counts


@contextmanager
def _storm(folder: Path, plan: StormPlan) -> Iterator[_Storm]:
    storm = _Storm(folder, plan)
    try:
        yield storm
    finally:
        storm.kill_all()


def run_storm(folder: Path, plan: StormPlan = StormPlan()) -> StormFigures:
    """Run it with its files in `folder` (which must be empty, with a short path: it holds a Unix socket)."""
    with _storm(folder, plan) as storm:
        storm.start_control()
        asyncio.run(storm.raise_cap())  # before a replica learns that nobody limits anybody
        for _ in range(plan.replicas):
            storm.start_replica()

        async def rounds() -> None:
            for _ in range(plan.rounds):
                await storm.round()

        asyncio.run(rounds())
        counts = storm.stop()
        spent = storm.logged()
        statuses, rolled_up = asyncio.run(_books_afterwards(folder))
        return StormFigures(
            cap=storm.cap,
            kills=dict(storm.kills),
            attempts=spent["attempts"],
            refusals=spent["refusals"],
            overruns=counts["overruns"],
            forgotten=counts["forgotten"],
            spent={scope: spent[scope] for scope in BUDGETS},
            settled={status.budget.scope: status.settled_nano_usd for status in statuses},
            forfeited={status.budget.scope: status.forfeited_nano_usd for status in statuses},
            leased={status.budget.scope: status.leased_nano_usd for status in statuses},
            rolled_up=rolled_up,
            early=tuple(storm.early),
        )


async def _books_afterwards(folder: Path) -> tuple[tuple[BudgetStatus, ...], dict[str, int]]:
    """The books once the leases of the dead have expired."""
    await asyncio.sleep(OPTIONS.lease_s)
    with SqliteSpendStore.open(folder / "spend.db") as store:
        books = BudgetBook(store, SystemClock(), options=OPTIONS)
        books.expire()
        lines = books.spend(SpendQuery())
        rolled_up: Counter[str] = Counter(dict.fromkeys(BUDGETS, 0))
        for line in lines:
            rolled_up[f"key:{line.key_id}"] += line.amount_nano_usd
            rolled_up[f"tenant:{line.tenant}"] += line.amount_nano_usd
        return books.budgets(), dict(rolled_up)
