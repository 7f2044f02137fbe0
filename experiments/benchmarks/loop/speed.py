"""Speed of a campaign: in process, on one actor, on two; same seed, same budget, so the same archive.

Start-up (of Ray, of the actors, and the first evaluation, which makes the features) is a figure of its own; the rate
is that of everything after the first window.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from threadpoolctl import threadpool_limits

from evolving_ai._common.clock import SystemClock
from evolving_ai.domain.dna import Genome
from evolving_ai.domain.fitness import Evaluation
from evolving_ai.evolution.folder import CampaignFolder
from evolving_ai.evolution.in_process import InProcessExecutor
from evolving_ai.evolution.ports import Executor
from evolving_ai.evolution.runner import run_campaign
from evolving_ai.home import open_home
from evolving_ai.wiring.campaigns import campaigns_path, create_ledger
from evolving_ai.wiring.routing_campaign import RoutingRun, plan
from evolving_ai.wiring.search_space import search_space
from evolving_ai.wiring.stores import open_history
from experiments.benchmarks.bar import Bar
from experiments.benchmarks.loop.search import routing_campaign

__all__ = ["speed_bars"]

_EVALUATIONS = 56
_IN_PROCESS = 0


class _Stopwatch:
    """An executor that notes when each result arrives."""

    def __init__(self, executor: Executor, clock: SystemClock) -> None:
        self._executor = executor
        self._clock = clock
        self.arrivals_s: list[float] = []

    @property
    def slots(self) -> int:
        return self._executor.slots

    @property
    def busy_s(self) -> float:
        return self._executor.busy_s

    def submit(self, index: int, genome: Genome) -> None:
        self._executor.submit(index, genome)

    def next_result(self, timeout_s: float) -> tuple[int, Evaluation] | None:
        result = self._executor.next_result(timeout_s)
        if result is not None:
            self.arrivals_s.append(self._clock.monotonic_s())
        return result

    def close(self) -> None:
        self._executor.close()


@dataclass(frozen=True, slots=True)
class _Lap:
    """`rate` in evaluations per second, `controller_share` of the wall time in percent."""

    rate: float
    controller_share: float
    start_up_s: float
    digest: str


def speed_bars(home: Path, table: Path) -> Iterator[Bar]:
    """Rate, controller's share and start-up of each arm; whether all found the same archive."""
    laps = {
        name: _lap(open_home(home), table, name.replace(" ", "-"), actors)
        for name, actors in (("in process", _IN_PROCESS), ("on 1 actor", 1), ("on 2 actors", 2))
    }
    for name, lap in laps.items():
        yield Bar(f"evaluations per second, {name}", lap.rate, "1/s")
        yield Bar(f"controller's share of the wall time, {name}", lap.controller_share, "%")
        yield Bar(f"start-up of a campaign, {name}", lap.start_up_s, "s")
    yield Bar("distinct archives, in process and on actors", len({lap.digest for lap in laps.values()}), "count")


def _lap(home: Path, table: Path, name: str, actors: int) -> _Lap:
    clock = SystemClock()
    with open_history(home) as history:
        run = plan(routing_campaign(table, evals=_EVALUATIONS), f"speed-{name}", history, search_space())
    folder = CampaignFolder(campaigns_path(home), run.spec.id)
    start_s = clock.monotonic_s()
    with create_ledger(folder, run.spec) as ledger, _executor(run, actors, clock) as executor:
        watch = _Stopwatch(executor, clock)
        run_start_s = clock.monotonic_s()
        result = run_campaign(run.spec, ledger, watch, clock=clock)
    arrivals_s = watch.arrivals_s
    counted = arrivals_s[run.spec.window :]
    return _Lap(
        rate=(len(counted) - 1) / (counted[-1] - counted[0]),
        controller_share=100 * result.controller_s / (result.elapsed_s - (arrivals_s[0] - run_start_s)),
        start_up_s=arrivals_s[0] - start_s,
        digest=result.archive.digest(),
    )


@contextlib.contextmanager
def _executor(run: RoutingRun, actors: int, clock: SystemClock) -> Iterator[Executor]:
    if actors == _IN_PROCESS:
        with threadpool_limits(limits=1):
            yield InProcessExecutor(run.evaluator_factory(), clock)
        return
    from evolving_ai.evolution.on_ray.session import ray_session

    with ray_session(num_cpus=actors, clock=clock):
        from evolving_ai.evolution.on_ray.executor import RayExecutor  # imports ray: after the session's token

        executor = RayExecutor(run.evaluator_factory, actors=actors, deadline_s=run.spec.deadline_s, clock=clock)
        with contextlib.closing(executor):
            yield executor
