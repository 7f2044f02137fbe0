"""The gates, asked of real policies on small tables: what passes, what is vetoed, and what nobody looks at."""

import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evolving_ai._common.clock import ManualClock
from evolving_ai.domain.dna import Commit, Genome
from evolving_ai.domain.money import TokenPrice
from evolving_ai.domain.target import DeploymentTarget, ProviderKind
from evolving_ai.errors import DataError
from evolving_ai.rollout.gates import GateName, GateResult
from evolving_ai.rollout.plan import Margins, RolloutPlan
from evolving_ai.wiring import rollout_gates
from evolving_ai.wiring.held_out import Ground
from evolving_ai.wiring.pool import Pool
from evolving_ai.wiring.rollout_gates import judge, run_gates, thriftier
from evolving_ai.wiring.search_space import search_space
from evolving_ai.wiring.stores import open_history
from tests.unit.decision.synthetic_outcomes import MODELS, genome, genomes, write_table
from tests.unit.wiring.recorded_ground import columns_with_validation, ground_of, replaced

LIVE = genome(quality__predictor="classes")
CANDIDATE = genome(quality__predictor="classes", score__cost_weight=0.3)
PLAN = RolloutPlan(margins=Margins(quality=0.15))  # the tables are small


class SlowClock(ManualClock):
    """Each look at it takes a while."""

    def monotonic_s(self) -> float:
        self.advance(0.006)
        return super().monotonic_s()


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return ground_of(tmp_path / "table.parquet", columns_with_validation())


def asked(ground: Ground, candidate: Genome = CANDIDATE, live: Genome = LIVE) -> dict[str, GateResult]:
    return {result.name: result for result in judge(ground, candidate, live, PLAN, ManualClock())}


def vetoes(results: Mapping[str, GateResult]) -> set[str]:
    return {name for name, result in results.items() if not result.passed}


def test_a_thriftier_policy_that_is_as_good_passes_every_gate(ground: Ground) -> None:
    results = asked(ground)
    assert list(results) == list(GateName)
    assert not vetoes(results)
    assert (
        results["cost_limit"].figures["recorded_usd_per_1k"] < results["cost_limit"].figures["live_recorded_usd_per_1k"]
    )


def test_a_dearer_policy_is_vetoed_for_its_cost_alone(ground: Ground) -> None:
    assert vetoes(asked(ground, LIVE, CANDIDATE)) == {"cost_limit"}


def test_a_policy_that_answers_worse_is_vetoed(ground: Ground) -> None:
    blind = genome(score__cost_weight=30.0)
    results = asked(ground, blind, CANDIDATE)
    assert "hold_out" in vetoes(results)
    assert results["hold_out"].figures["difference_points"] < -15


def test_the_live_dna_itself_is_no_candidate(ground: Ground) -> None:
    assert vetoes(asked(ground, LIVE, LIVE)) == {"genome"}


def test_slow_answers_are_vetoed(tmp_path: Path) -> None:
    columns = replaced(columns_with_validation(), {"latency_s": 5.0}, lambda row: row["model"] != "big")
    assert vetoes(asked(ground_of(tmp_path / "slow.parquet", columns))) == {"latency_limit"}


def test_slow_decisions_are_vetoed(ground: Ground) -> None:
    results = {each.name: each for each in judge(ground, CANDIDATE, LIVE, PLAN, SlowClock())}
    assert vetoes(results) == {"latency_limit"}
    assert results[GateName.LATENCY_LIMIT].figures["decision_p99_ms"] == pytest.approx(6.0)


@pytest.mark.parametrize(
    "cells",
    [
        {"score": 77.0, "cost_usd": -1.0},
        {"prompt": "poison", "prompt_tokens": 10**6},
        {"model": "poison", "query_id": "poison"},
        {"source_task": "poison", "latency_s": 1e9},
    ],
)
@pytest.mark.parametrize("has_validation", [True, False])
def test_nothing_depends_on_the_test_split(tmp_path: Path, has_validation: bool, cells: Mapping[str, Any]) -> None:
    columns = columns_with_validation()
    if not has_validation:
        columns["split"] = ["test" if split == "test" else "train" for split in columns["split"]]
    poisoned = replaced(columns, cells, lambda row: row["split"] == "test")

    clean = ground_of(tmp_path / "clean.parquet", columns)
    assert asked(ground_of(tmp_path / "poisoned.parquet", poisoned)) == asked(clean)


def test_outcomes_of_validation_rows_decide(ground: Ground, tmp_path: Path) -> None:
    is_thrifty = replaced(
        columns_with_validation(), {"score": 0.0}, lambda row: row["split"] == "validation" and row["model"] != "big"
    )
    assert vetoes(asked(ground_of(tmp_path / "other.parquet", is_thrifty))) == {"hold_out"}


def test_a_table_without_a_validation_split_is_cross_fitted_and_says_so(tmp_path: Path) -> None:
    columns = columns_with_validation()
    columns["split"] = ["test" if split == "test" else "train" for split in columns["split"]]
    results = asked(ground_of(tmp_path / "t.parquet", columns))
    assert not vetoes(results)
    assert "train requests (5 folds" in results["hold_out"].detail


def test_without_a_table_prices_are_all_that_is_known() -> None:
    prices = {model: TokenPrice(place + 1, place + 1) for place, model in enumerate(MODELS)}
    results = asked(Ground(MODELS, None, prices))
    assert not vetoes(results)
    assert results["hold_out"].detail == "no recorded outcomes: only live evidence will tell"


def test_a_veto_does_not_keep_other_gates_from_being_asked(ground: Ground) -> None:
    broken = Genome({**CANDIDATE.genes, "budget.daily": 1.0})
    results = asked(ground, broken)
    assert list(results) == list(GateName)
    assert vetoes(results) == set(GateName)
    assert results["protected"].detail == "budget.daily names what is protected (budgets)"
    assert results["hold_out"].detail.startswith("unknown gene budget.daily")


def test_a_table_that_cannot_be_read_is_the_veto_of_the_gates_that_need_it(ground: Ground) -> None:
    results = asked(dataclasses.replace(ground, table=Path("nowhere.parquet")))
    assert vetoes(results) == {"snapshot", "hold_out", "cost_limit", "latency_limit"}
    assert results["snapshot"].detail.startswith("nowhere.parquet does not exist")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(candidate=genomes(), live=genomes())
def test_any_legal_dna_is_judged_without_a_failure(ground: Ground, candidate: Genome, live: Genome) -> None:
    results = asked(ground, candidate, live)
    assert results["snapshot"].passed
    assert results["genome"].passed == (candidate.hash != live.hash)
    assert results["hold_out"].figures["requests"] > 20


@given(genomes(), st.floats(1e-3, 1e6))
def test_thriftier_dna_is_legal_and_changes_one_gene(before: Genome, factor: float) -> None:
    after = thriftier(before, factor)
    search_space().validate(after.genes)
    weight = float(before.genes["score.cost_weight"])
    assert after.genes["score.cost_weight"] == pytest.approx(min(max(weight * factor, 1e-4), 30.0))
    assert after == before.replacing({"score.cost_weight": after.genes["score.cost_weight"]})


def test_dna_without_a_cost_weight_cannot_be_thriftier() -> None:
    with pytest.raises(DataError, match="has no gene"):
        thriftier(Genome({}), 2.0)


def target(model: str) -> DeploymentTarget:
    kind, price = ProviderKind.REPLAY, TokenPrice(1, 1)
    return DeploymentTarget("replay", model, model, kind, "http://127.0.0.1:9", None, "local", price, 100)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An installation with a pool, a table, the live DNA on `main` and the candidate after it."""
    (tmp_path / "live").mkdir()
    table = write_table(tmp_path / "t.parquet", columns_with_validation())
    Pool(tuple(target(model) for model in MODELS), {}, is_replay=True, table=table).save(tmp_path)
    with open_history(tmp_path) as history:
        for each in (LIVE, CANDIDATE):
            history.change("main", dict(each.genes), author="test", message="change")
    return tmp_path


def commits(home: Path) -> tuple[Commit, Commit]:
    with open_history(home) as history:
        return history.resolve("main"), history.resolve("main~1")


def test_an_installation_is_asked_as_it_stands(home: Path, ground: Ground) -> None:
    candidate, live = commits(home)
    found = run_gates(home, candidate, live, PLAN, ManualClock())
    assert found == judge(ground, CANDIDATE, LIVE, PLAN, ManualClock())


def contents(home: Path) -> Mapping[Path, bytes]:
    """All files but those that SQLite lays beside a database that somebody looks at."""
    files = (path for path in home.rglob("*") if path.is_file() and not path.name.endswith(("-shm", "-wal")))
    return {path: path.read_bytes() for path in files}


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["rollout_gates", *map(str, arguments)])
    return rollout_gates.main()


def test_the_process_prints_one_document_and_writes_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    candidate, live = commits(home)
    plan = home / "plan.json"
    plan.write_text(json.dumps(PLAN.to_json()))
    before = contents(home)

    assert run_main(monkeypatch, home, candidate.hash, live.hash, plan) == 0

    document = json.loads(capsys.readouterr().out)
    assert document["passed"]
    assert [gate["name"] for gate in document["gates"]] == [name.value for name in GateName]
    assert all(GateResult.from_json(gate).to_json() == gate for gate in document["gates"])
    assert contents(home) == before


def test_what_cannot_be_asked_is_one_line_and_no_document(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    candidate, live = commits(home)
    plan = home / "plan.json"
    plan.write_text("{}")
    other = home / "other.json"
    other.write_text('{"stage": 1}')

    for arguments in (
        (),
        (home, candidate.hash, "0" * 64, plan),
        (home, candidate.hash, live.hash, other),
        (home, candidate.hash, live.hash, home / "none.json"),
        (home / "nowhere", candidate.hash, live.hash, plan),
    ):
        assert run_main(monkeypatch, *arguments) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("error: ")
        assert said.err.count("\n") == 1
