"""Routing campaigns: planned from a file, restored from a spec, and what is made of their result."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evolving_ai._common.clock import ManualClock
from evolving_ai.domain.fitness import Evaluation, Score
from evolving_ai.errors import CampaignError, CorruptionError, DataError, GeneError, RefNotFoundError, SettingsError
from evolving_ai.evolution.campaign import CampaignSpec
from evolving_ai.evolution.in_process import InProcessExecutor
from evolving_ai.evolution.result import CampaignResult
from evolving_ai.evolution.runner import run_campaign
from evolving_ai.evolution.state import CampaignState
from evolving_ai.stores.history import DnaHistory
from evolving_ai.stores.inmemory.campaign_ledger import InMemoryCampaignLedger
from evolving_ai.stores.inmemory.dna_store import InMemoryDnaStore
from evolving_ai.wiring.campaign_file import RoutingCampaignFile
from evolving_ai.wiring.routing_campaign import RoutingRun, branch_of, plan, restore
from evolving_ai.wiring.search_space import search_space
from tests.unit.decision.synthetic_outcomes import columns_of, genome, write_table

QUERIES = 60


@pytest.fixture
def history() -> DnaHistory:
    made = DnaHistory(InMemoryDnaStore(), search_space(), ManualClock())
    made.ensure_main()
    return made


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_table(tmp_path / "table.parquet", columns_of(QUERIES))


@pytest.fixture
def planned(history: DnaHistory, data: Path) -> Callable[..., RoutingRun]:
    def make(**changes: Any) -> RoutingRun:
        content = {"kind": "routing", "data": data, "evals": 8, "seed": 2, **changes}
        return plan(RoutingCampaignFile(**content), "test-1", history, search_space())

    return make


def finished(run: RoutingRun) -> CampaignResult:
    clock = ManualClock()
    executor = InProcessExecutor(run.evaluator_factory(), clock)
    return run_campaign(run.spec, InMemoryCampaignLedger(run.spec.to_json()), executor, clock=clock)


def test_a_plan_learns_from_the_train_split_alone(planned: Any) -> None:
    run = planned()
    assert len(run.train) == QUERIES - QUERIES // 3
    assert run.spec.max_evaluations == 8
    assert run.spec.base[0] == genome()
    assert [objective.name for objective in run.spec.objectives] == ["quality", "cost_usd_per_1k"]


def test_a_plan_is_restored_from_its_spec(planned: Any) -> None:
    run = planned(context=("source_task",), folds=4)
    again = restore(CampaignSpec.from_json(run.spec.to_json()))
    assert again.train.fingerprint() == run.train.fingerprint()
    assert (again.settings, again.data, again.context) == (run.settings, run.data, run.context)
    assert (again.max_cost_share, again.start_commit) == (run.max_cost_share, run.start_commit)


@pytest.mark.parametrize("column", ["prompt", "score", "cost_usd", "prompt_tokens", "source_task"])
def test_a_campaign_is_not_restored_on_changed_data(planned: Any, data: Path, column: str) -> None:
    run = planned()
    columns = columns_of(QUERIES)
    new = {"prompt": "other", "score": 0.5, "source_task": "other"}.get(column, 999)
    columns[column] = [
        new if query == "q1" else cell for query, cell in zip(columns["query_id"], columns[column], strict=False)
    ]
    write_table(data, columns)
    with pytest.raises(CampaignError, match="has changed since"):
        restore(run.spec)


def test_a_campaign_is_restored_when_only_its_test_split_has_changed(planned: Any, data: Path) -> None:
    run = planned()
    columns = columns_of(QUERIES)
    columns["score"][0] = 1 - columns["score"][0]
    assert columns["split"][0] == "test"
    write_table(data, columns)
    assert restore(run.spec).train.fingerprint() == run.train.fingerprint()


def test_a_missing_table_and_a_spec_about_something_else_are_refused(planned: Any, data: Path) -> None:
    run = planned()
    with pytest.raises(CorruptionError, match="does not say what it is about"):
        restore(dataclasses.replace(run.spec, about={"kind": "routing"}))
    data.unlink()
    with pytest.raises(DataError, match="does not exist"):
        restore(run.spec)


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"genes": ("features.bitz",)}, GeneError, "features.bits"),
        ({"genes": ("cooking.",)}, GeneError, "cooking"),
        ({"genes": ()}, SettingsError, "nothing to change"),
        ({"genes": ("features.context",)}, SettingsError, "nothing to change"),
        ({"start_from": "nowhere"}, RefNotFoundError, "nowhere"),
        ({"data": None}, DataError, "names no data"),
        ({"context": ("team",)}, DataError, "team"),
        ({"context": ("score",)}, DataError, "cannot be context"),
        ({"seed": 2, "folds": 20, "evals": 1, "data": "few"}, DataError, "set folds"),
    ],
)
def test_what_cannot_run_is_refused_before_it_begins(
    planned: Any, tmp_path: Path, changes: dict[str, Any], error: type[Exception], reason: str
) -> None:
    if changes.get("data") == "few":
        changes = {**changes, "data": write_table(tmp_path / "few.parquet", columns_of(12))}
    with pytest.raises(error, match=reason):
        planned(**changes)


def test_the_context_gene_is_free_only_where_there_is_context(planned: Any) -> None:
    assert "features.context" not in planned().spec.free
    assert "features.context" in planned(context=("source_task",)).spec.free


def test_the_winner_is_within_the_cost_limit_and_no_affordable_candidate_is_clearly_better(planned: Any) -> None:
    run = planned(evals=40)
    result = finished(run)
    scores = {one.candidate.index: one.evaluation.scores for one in result.scored if one.evaluation is not None}
    winner = scores[run.winner(result)]

    def is_affordable(cost: Score) -> bool:
        return cost.value + 2 * cost.standard_error <= limit

    limit = 0.35 * max(point.x for point in run.references() if point.name.startswith("best single"))
    assert is_affordable(winner["cost_usd_per_1k"])
    best = max(
        (s["quality"] for s in scores.values() if is_affordable(s["cost_usd_per_1k"])), key=lambda each: each.value
    )
    assert winner["quality"].value >= best.value - 0.5 * best.standard_error


def test_a_campaign_that_aims_at_fitness_ends_with_the_fittest(planned: Any) -> None:
    run = planned(evals=40, target={"objective": "fitness_score", "value": 0.88})
    result = finished(run)
    fitness = [one.evaluation.measures["fitness_score"] for one in result.scored[: result.evaluations]]
    assert result.state is CampaignState.TARGET_REACHED
    assert run.winner(result) == result.evaluations - 1
    assert fitness.index(max(fitness)) == result.evaluations - 1
    assert max(fitness) >= 0.88


def test_a_fitness_out_of_reach_is_no_failure_and_the_fittest_still_wins(planned: Any) -> None:
    run = planned(evals=12, target={"objective": "fitness_score", "value": 1})
    result = finished(run)
    fitness = [one.evaluation.measures["fitness_score"] for one in result.scored]
    assert result.state is CampaignState.BUDGET_EXHAUSTED
    assert run.winner(result) == fitness.index(max(fitness))
    assert result.archive.digest() == finished(planned(evals=12)).archive.digest()


def test_failed_candidates_never_win(planned: Any) -> None:
    run = planned()
    result = finished(run)
    winner = run.winner(result)
    broken = [
        dataclasses.replace(one, evaluation=Evaluation(failure="broken")) if one.candidate.index == winner else one
        for one in result.scored
    ]
    assert run.winner(dataclasses.replace(result, scored=broken)) != winner
    hopeless = [dataclasses.replace(one, evaluation=Evaluation(failure="broken")) for one in result.scored]
    with pytest.raises(CampaignError, match="scored no candidate"):
        run.winner(dataclasses.replace(result, scored=hopeless))


def test_the_winner_is_committed_once_on_a_branch_of_its_own(planned: Any, history: DnaHistory) -> None:
    run = planned()
    result = finished(run)
    main = history.branches()["main"]
    winner = next(one.candidate.index for one in result.scored if one.candidate.genome != main.genome)
    commit = run.commit(history, result, winner)
    assert run.commit(history, result, winner) == commit
    branches = history.branches()
    assert branches[branch_of("test-1")] == commit
    assert branches["main"] == main
    assert commit.parents == (main.hash,)
    assert commit.genome == result.scored[winner].candidate.genome
    assert commit.evaluations == (f"test-1/{winner}",)
    assert commit.mutation is not None
    assert {change.gene for change in commit.mutation.changes} == {
        name
        for name in {*main.genome.genes, *commit.genome.genes}
        if main.genome.genes.get(name) != commit.genome.genes.get(name)
    }


def test_an_incumbent_that_stays_best_is_its_own_branch_tip(planned: Any, history: DnaHistory) -> None:
    run = planned()
    assert run.commit(history, finished(run), 0) == history.branches()["main"]


def test_the_table_scores_everybody_on_the_same_test_queries(planned: Any) -> None:
    held_out = planned().held_out_table(genome())
    assert held_out is not None
    table, gain = held_out
    by_name = {row.name: row for row in table}
    assert {"cheapest model", "best single model", "evolved policy", "oracle"} <= by_name.keys()
    assert all(row.quality.low <= row.quality.value <= row.quality.high for row in table)
    assert by_name["oracle"].quality.value == max(row.quality.value for row in table)
    assert gain is not None
    evolved, best = by_name["evolved policy"].quality.value, by_name["best single model"].quality.value
    assert gain.value == pytest.approx(evolved - best)


def test_without_a_test_split_there_is_no_table(planned: Any, tmp_path: Path) -> None:
    columns = columns_of(QUERIES)
    columns["split"] = ["train"] * len(columns["split"])
    assert planned(data=write_table(tmp_path / "train.parquet", columns)).held_out_table(genome()) is None


def test_a_test_split_that_lacks_the_best_single_model_still_has_a_table(planned: Any, tmp_path: Path) -> None:
    columns = columns_of(QUERIES)
    keep = [i for i, model in enumerate(columns["model"]) if model != "big" or columns["split"][i] == "train"]
    path = write_table(tmp_path / "lacks.parquet", {name: [cells[i] for i in keep] for name, cells in columns.items()})
    held_out = planned(data=path).held_out_table(genome())
    assert held_out is not None
    table, gain = held_out
    assert gain is None
    assert "best single model" not in {row.name for row in table}
    assert "evolved policy" in {row.name for row in table}


def test_test_answers_that_nobody_scored_leave_the_figures_finite(planned: Any, tmp_path: Path) -> None:
    columns = columns_of(QUERIES)
    for name in ("score", "cost_usd"):
        columns[name] = [None if i % 7 == 0 else cell for i, cell in enumerate(columns[name])]
    held_out = planned(data=write_table(tmp_path / "holes.parquet", columns)).held_out_table(genome())
    assert held_out is not None
    table, gain = held_out
    assert gain is not None
    assert gain.low <= gain.value <= gain.high
    assert all(0 <= row.quality.value <= 100 and row.cost_usd_per_1k > 0 for row in table)
