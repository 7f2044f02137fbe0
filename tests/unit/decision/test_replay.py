"""Replay: sweeps, decision files, and a learner that hears of its own choices alone."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolving_ai._common.rng import derive_rng
from evolving_ai.decision.engine import DecisionEngine
from evolving_ai.decision.fitting import Fitter
from evolving_ai.decision.learning import StreamLearner
from evolving_ai.decision.outcome_table import RequestTable
from evolving_ai.decision.predictor import Prediction
from evolving_ai.decision.replay import Decisions, replay_greedy, replay_stream, sweep_weights
from evolving_ai.decision.scoring import PURE_COST
from evolving_ai.domain.dna import Genome
from tests.unit.decision.synthetic_outcomes import MODELS, genome, genomes, outcomes

GENOME = genome(quality__predictor="classes")
SAVING = """
import resource, sys
from pathlib import Path
from evolving_ai.decision.replay import Decisions
from evolving_ai.errors import StorageError
decisions = Decisions(seed=0)
for i in range(5000):
    decisions.add(f"{i * 7919 % 5003:x}", 0, i / 7, "big", 1.0)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    decisions.save(Path(sys.argv[1]))
except StorageError as exc:
    print(exc)
"""


@pytest.fixture(scope="module")
def engine() -> DecisionEngine:
    return DecisionEngine(GENOME, Fitter(outcomes(60)).fit(GENOME.genes))


def requests_of(queries: int, *, missing: float = 0.0) -> RequestTable:
    table = outcomes(queries, missing=missing)
    return RequestTable(table.query_ids, table.models, table.requests, table.known)


@given(
    points=st.integers(2, 400),
    costs=st.lists(st.sampled_from((0.0, 1e-9, 1e-4, 1e-3, 0.5, 3.0)), min_size=3, max_size=3),
    quality=st.lists(st.floats(0, 1), min_size=3, max_size=3),
)
@settings(max_examples=60)
def test_a_sweep_rises_strictly_from_0_to_infinity_in_exactly_so_many_points(
    engine: DecisionEngine, points: int, costs: list[float], quality: list[float]
) -> None:
    prediction = Prediction(np.array([quality] * 4, np.float32), np.array([costs] * 4, np.float32))
    weights = sweep_weights(points, engine, prediction)
    assert len(weights) == points
    assert (weights[0], weights[-1]) == (0.0, PURE_COST)
    assert all(low < high for low, high in zip(weights, weights[1:], strict=False))  # noqa: RUF007 - by index


def test_one_point_is_the_genomes_own_weight(engine: DecisionEngine) -> None:
    prediction = engine.predict(outcomes(1).requests[0])
    assert sweep_weights(1, engine, prediction) == [GENOME.genes["score.cost_weight"]]


def test_a_decision_file_has_exactly_the_promised_columns(tmp_path: Path) -> None:
    decisions = Decisions(seed=5)
    decisions.add("q1", 0, 0.25, "big", 1.0)
    decisions.add("q1", 1, PURE_COST, "code", 0.5)
    decisions.save(tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    assert [(field.name, field.type) for field in table.schema] == [
        ("query_id", pa.string()),
        ("seed", pa.int64()),
        ("point", pa.int64()),
        ("cost_weight", pa.float64()),
        ("model", pa.string()),
        ("propensity", pa.float64()),
    ]
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        ("q1", 5, 0, 0.25, "big", 1.0),
        ("q1", 5, 1, PURE_COST, "code", 0.5),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]


def test_a_full_disk_leaves_neither_decisions_nor_a_temporary_file(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SAVING, str(tmp_path / "out.parquet")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "out.parquet" in done.stdout
    assert list(tmp_path.iterdir()) == []


@given(wanted=genomes())
@settings(max_examples=15)
def test_greedy_replay_decides_as_the_engine_does(wanted: Genome) -> None:
    engine = DecisionEngine(wanted, Fitter(outcomes(24)).fit(wanted.genes))
    table = requests_of(12)
    weights = [0.0, 0.5, PURE_COST]
    decided = replay_greedy(engine, table, weights, seed=0)
    expected = [engine.decide(request, cost_weight=weight).model for request in table.requests for weight in weights]
    assert decided.models == expected
    assert decided.points == [0, 1, 2] * 12
    assert set(decided.propensities) == {1.0}


def test_greedy_replay_stays_within_each_querys_own_pool(engine: DecisionEngine) -> None:
    table = requests_of(40, missing=0.6)
    decided = replay_greedy(engine, table, [0.0, 1.0, PURE_COST], seed=0)
    places = {query_id: row for row, query_id in enumerate(table.query_ids)}
    assert all(
        table.available[places[query_id], table.models.index(model)]
        for query_id, model in zip(decided.query_ids, decided.models, strict=True)
    )


def test_a_stream_is_told_each_of_its_own_choices_once_and_nothing_else() -> None:
    truth, table = outcomes(30, missing=0.4), requests_of(30, missing=0.4)
    told: list[tuple[str, str]] = []

    def tell(query_id: str, model: str) -> tuple[float, float]:
        told.append((query_id, model))
        cell = truth.query_ids.index(query_id), truth.models.index(model)
        assert truth.known[cell], "a model outside the pool was chosen"
        return float(truth.score[cell]), float(truth.cost_usd[cell])

    def make_learner() -> StreamLearner:
        return StreamLearner(MODELS, GENOME.genes, derive_rng(0, "stream"))

    decided = replay_stream(make_learner, table, [0.0, PURE_COST], tell, seed=0)
    assert told == list(zip(decided.query_ids, decided.models, strict=True))
    assert decided.query_ids == [*table.query_ids, *table.query_ids]
    assert all(0 < propensity <= 1 for propensity in decided.propensities)


def test_what_a_stream_decides_first_does_not_depend_on_what_it_is_told_later() -> None:
    table = requests_of(20)
    tells = [lambda _query, _model: (1.0, 1e-3), lambda query, _model: (float(query < "q15"), 1e-3)]

    def make_learner() -> StreamLearner:
        return StreamLearner(MODELS, GENOME.genes, derive_rng(4, "stream"))

    first, second = (replay_stream(make_learner, table, [0.1], tell, seed=4) for tell in tells)
    assert first.models[0] == second.models[0]
    assert first.propensities[0] == second.propensities[0]


def test_outcomes_are_looked_up_for_each_point_in_the_order_of_its_decisions() -> None:
    truth, decisions = outcomes(4), Decisions(seed=0)
    for query_id, point, model in (("q2", 0, "big"), ("q1", 1, "code"), ("q0", 0, "math")):
        decisions.add(query_id, point, 0.0, model, 1.0)
    found = decisions.outcomes(truth)
    assert sorted(found) == [0, 1]
    np.testing.assert_array_equal(found[0][0], [truth.score[2, 0], truth.score[0, 2]])
    np.testing.assert_array_equal(found[1][1], [truth.cost_usd[1, 1]])
