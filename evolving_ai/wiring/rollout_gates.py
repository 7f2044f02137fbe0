"""The gates of a rollout, asked of real things: the pool, the recorded outcomes, policies that are fitted for it.

It runs as a process of its own (`python -m evolving_ai.wiring.rollout_gates HOME CANDIDATE LIVE PLAN.json`), because
fitting takes a core for seconds, and control has to answer meanwhile. It reads; it writes nothing but its result.
"""

import json
import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np

from evolving_ai._common.clock import Clock, SystemClock
from evolving_ai.decision.engine import DecisionEngine
from evolving_ai.decision.features import RequestView
from evolving_ai.domain.dna import Commit, Genome
from evolving_ai.domain.genes import FloatGene
from evolving_ai.errors import DataError, EvolvingAIError
from evolving_ai.rollout.gates import (
    GateName,
    GateResult,
    HeldOut,
    PolicyCheck,
    judge_cost,
    judge_genome,
    judge_hold_out,
    judge_latency,
    judge_protected,
    judge_snapshot,
    refusal,
)
from evolving_ai.rollout.plan import RolloutPlan
from evolving_ai.stores.sqlite.dna_store import SqliteDnaStore
from evolving_ai.wiring.held_out import Choices, Ground, Trial, choose, compare, joined, prompts, trials
from evolving_ai.wiring.search_space import search_space
from evolving_ai.wiring.stores import dna_path

__all__ = ["judge", "run_gates", "thriftier"]

_COST_WEIGHT = "score.cost_weight"
_MOST_PROMPTS = 200
_TRIES = 3  # the best of them counts: a gate must not veto because the machine was busy

# What fitting and deciding raise for a genome or a table that nobody thought of: a veto, not the end of the gates.
_FAILURES = (EvolvingAIError, ArithmeticError, LookupError, OSError, TypeError, ValueError)


def run_gates(home: Path, candidate: Commit, live: Commit, plan: RolloutPlan, clock: Clock) -> tuple[GateResult, ...]:
    """What every gate says of `candidate` beside `live`, on the pool and the table of an installation.

    DataError or CorruptionError when the pool of the installation cannot be read.
    """
    return judge(Ground.of_home(home), candidate.genome, live.genome, plan, clock)


def judge(ground: Ground, candidate: Genome, live: Genome, plan: RolloutPlan, clock: Clock) -> tuple[GateResult, ...]:
    """What every gate says, in their order. All are asked, also after a veto; what fails in one is its veto."""
    space, bench = search_space(), _Bench(ground, candidate, live, clock)
    gates: dict[GateName, Callable[[], GateResult]] = {
        GateName.GENOME: lambda: judge_genome(candidate, live, space),
        GateName.PROTECTED: lambda: judge_protected(candidate, live, space),
        GateName.SNAPSHOT: lambda: judge_snapshot(bench.check()),
        GateName.HOLD_OUT: lambda: judge_hold_out(bench.found, plan.margins.quality),
        GateName.COST_LIMIT: lambda: judge_cost(bench.predicted_usd_per_1k(), bench.found, plan.margins.cost),
        GateName.LATENCY_LIMIT: lambda: judge_latency(bench.decisions_s(), bench.found),
    }
    return tuple(_asked(name, gate) for name, gate in gates.items())


def _asked(name: GateName, gate: Callable[[], GateResult]) -> GateResult:
    try:
        return gate()
    except EvolvingAIError as exc:
        return refusal(name, exc)
    except _FAILURES as exc:
        return refusal(name, f"{type(exc).__name__}: {exc}")


def thriftier(genome: Genome, factor: float) -> Genome:
    """The genome with a cost weight that is `factor` times as large, as far as its legal range goes."""
    gene = search_space().gene(_COST_WEIGHT)
    if not isinstance(gene, FloatGene) or _COST_WEIGHT not in genome.genes:
        raise DataError(f"DNA {genome.hash[:12]} has no gene {_COST_WEIGHT}: expected one that weighs costs")
    raised = min(max(float(genome.genes[_COST_WEIGHT]) * factor, gene.low), gene.high)
    return genome.replacing({_COST_WEIGHT: raised})


class _Bench:
    """What is measured of the candidate and of the live DNA; each thing when the first gate asks for it, then kept."""

    def __init__(self, ground: Ground, candidate: Genome, live: Genome, clock: Clock) -> None:
        self._ground = ground
        self._genomes = (candidate, live)
        self._clock = clock

    @cached_property
    def _trials(self) -> tuple[str, tuple[Trial, ...]]:
        return trials(self._ground)

    @cached_property
    def _prompts(self) -> tuple[RequestView, ...]:
        return prompts(self._trials[1], _MOST_PROMPTS)

    @cached_property
    def _candidate(self) -> DecisionEngine:
        """As a replica would begin with it."""
        search_space().validate(self._genomes[0].genes)
        return DecisionEngine(self._genomes[0], self._ground.snapshot(self._genomes[0]))

    @cached_property
    def _choices(self) -> tuple[Choices, ...]:
        """The candidate's and the live DNA's, on the same rows; none without rows."""
        for genome in self._genomes:
            search_space().validate(genome.genes)
        return tuple(
            joined([choose(DecisionEngine(genome, trial.fit(genome)), trial.rows) for trial in self._trials[1]])
            for genome in self._genomes
            if self._trials[1]
        )

    @cached_property
    def found(self) -> HeldOut | None:
        """The comparison on rows that neither was fitted on; None without such rows."""
        return compare(self._trials[0], *self._choices) if self._choices else None

    def check(self) -> PolicyCheck:
        """How the candidate's policy came out, having decided every prompt."""
        engine = self._candidate
        predictions = [engine.predict(request) for request in self._prompts]
        for request in self._prompts:
            engine.decide(request)
        arrays = [
            *engine.snapshot.arrays.values(),
            *(p.quality for p in predictions),
            *(p.cost_usd for p in predictions),
        ]
        return PolicyCheck(
            pool=self._ground.models,
            models=engine.models,
            has_only_numbers=all(bool(np.isfinite(array).all()) for array in arrays),
            asked=len(self._prompts),
        )

    def predicted_usd_per_1k(self) -> tuple[float, float]:
        """What the candidate and the live DNA expect their choices to cost, on the same requests."""
        if self._choices:
            candidate, live = (float(1000 * choices.predicted_usd.mean()) for choices in self._choices)
            return candidate, live
        live_engine = DecisionEngine(self._genomes[1], self._ground.snapshot(self._genomes[1]))
        return self._expected_usd_per_1k(self._candidate), self._expected_usd_per_1k(live_engine)

    def _expected_usd_per_1k(self, engine: DecisionEngine) -> float:
        decisions = [engine.decide(request) for request in self._prompts]
        return 1000 * sum(decision.costs_usd[decision.chosen] for decision in decisions) / len(decisions)

    def decisions_s(self) -> list[float]:
        """How long the candidate's decision took for each prompt."""
        return [min(self._decision_s(request) for _ in range(_TRIES)) for request in self._prompts]

    def _decision_s(self, request: RequestView) -> float:
        engine, began_s = self._candidate, self._clock.monotonic_s()
        engine.decide(request)
        return self._clock.monotonic_s() - began_s


def main() -> int:
    """Prints one JSON document, `{"passed", "gates"}`; 1 with one line when the gates cannot be asked."""
    try:
        home, candidate, live, plan_file = sys.argv[1:]
        plan = RolloutPlan.from_json(json.loads(Path(plan_file).read_bytes()))
        with SqliteDnaStore.open_to_read(dna_path(Path(home))) as store:
            commits = store.get(candidate), store.get(live)
        results = run_gates(Path(home), *commits, plan, SystemClock())
    except (EvolvingAIError, OSError, ValueError) as exc:
        sys.stderr.write(f"error: {exc}\n")
        return 1
    document = {"passed": all(result.passed for result in results), "gates": [result.to_json() for result in results]}
    sys.stdout.write(json.dumps(document) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
