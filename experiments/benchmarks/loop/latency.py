"""Decision latency: the whole of `DecisionEngine.decide`, features included, one request after the other.

The bar is on every decision as it came. Beside it stands the undisturbed figure, for which each prompt counts with
the best of its repetitions: what the dearest prompts cost. Where the two differ, the machine was doing other things.
"""

import dataclasses
import itertools
import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
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
        taken_ms = _measure(engine, test.requests)
        p50, p99 = np.quantile(taken_ms, [0.5, 0.99])
        yield Bar(f"decision latency p50, {name}", float(p50), "ms")
        yield Bar(f"decision latency p99, {name}", float(p99), "ms", limit)
        undisturbed = np.quantile(taken_ms.min(axis=0), 0.99)
        yield Bar(f"decision latency p99 undisturbed, {name}", float(undisturbed), "ms")


def _first_models(table: OutcomeTable, count: int) -> OutcomeTable:
    return dataclasses.replace(
        table, models=table.models[:count], score=table.score[:, :count], cost_usd=table.cost_usd[:, :count]
    )


def _with_seed_features(genome: Genome) -> Genome:
    """The seed DNA itself sends everything to one model and reads no text: it would cost next to nothing."""
    seed = {name: value for name, value in search_space().defaults().items() if name.startswith("features.")}
    return dataclasses.replace(genome, genes={**genome.genes, **seed})


def _measure(engine: DecisionEngine, requests: tuple[RequestView, ...]) -> NDArray[np.float64]:
    """Wall time of each decision in milliseconds: float64[rounds, requests], at least `_DECISIONS` in all."""
    rounds = -(-_DECISIONS // len(requests))
    taken_ns: list[int] = []
    with threadpool_limits(limits=1):
        for request in itertools.islice(itertools.cycle(requests), _WARM_UP):
            engine.decide(request)
        for request in requests * rounds:
            start_ns = time.perf_counter_ns()
            engine.decide(request)
            taken_ns.append(time.perf_counter_ns() - start_ns)
    return np.array(taken_ns).reshape(rounds, len(requests)) / 1e6
