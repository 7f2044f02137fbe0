"""Decision latency: the whole of `DecisionEngine.decide`, features included, one request after the other.

The bar is on wall time. The thread's processor time stands beside it: where the two differ, the machine was busy.
"""

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator

import numpy as np
from threadpoolctl import threadpool_limits

from evolving_ai.decision.engine import DecisionEngine
from evolving_ai.decision.features import RequestView
from evolving_ai.decision.outcome_table import OutcomeTable
from evolving_ai.domain.dna import Genome
from evolving_ai.wiring.replay import fitted_policy
from evolving_ai.wiring.search_space import search_space
from experiments.benchmarks.bar import Bar, Limit

__all__ = ["latency_bars"]

_TARGETS = 8
_WARM_UP = 1_000
_DECISIONS = 25_000


def latency_bars(genome: Genome, train: OutcomeTable, test: OutcomeTable) -> Iterator[Bar]:
    """p50 and p99 for a pool of eight, with the evolved features and with those of the seed DNA."""
    pool = _first_models(train, _TARGETS)
    for name, one, limit in (
        ("evolved DNA", genome, Limit("<", 0.1)),
        ("evolved DNA with the seed's features", _with_seed_features(genome), None),
    ):
        engine, _ = fitted_policy(pool, one, 1)
        p50, p99 = _quantiles_ms(engine, test.requests, time.perf_counter_ns)
        yield Bar(f"decision latency p50, {name}", p50, "ms")
        yield Bar(f"decision latency p99, {name}", p99, "ms", limit)
        _, busy_p99 = _quantiles_ms(engine, test.requests, time.thread_time_ns)
        yield Bar(f"processor time of a decision p99, {name}", busy_p99, "ms")


def _first_models(table: OutcomeTable, count: int) -> OutcomeTable:
    return dataclasses.replace(
        table, models=table.models[:count], score=table.score[:, :count], cost_usd=table.cost_usd[:, :count]
    )


def _with_seed_features(genome: Genome) -> Genome:
    """The seed DNA itself sends everything to one model and reads no text: it would cost next to nothing."""
    seed = {name: value for name, value in search_space().defaults().items() if name.startswith("features.")}
    return dataclasses.replace(genome, genes={**genome.genes, **seed})


def _quantiles_ms(
    engine: DecisionEngine, requests: tuple[RequestView, ...], read_ns: Callable[[], int]
) -> tuple[float, float]:
    """p50 and p99 by the given clock."""
    taken_ns: list[int] = []
    stream = itertools.cycle(requests)
    with threadpool_limits(limits=1):
        for request in itertools.islice(stream, _WARM_UP):
            engine.decide(request)
        for request in itertools.islice(stream, _DECISIONS):
            start_ns = read_ns()
            engine.decide(request)
            taken_ns.append(read_ns() - start_ns)
    p50, p99 = np.quantile(taken_ns, [0.5, 0.99]) / 1e6
    return float(p50), float(p99)
