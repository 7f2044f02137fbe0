"""What the gates say of what was measured, by the numbers at both sides of every limit."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.domain.dna import Genome
from evolving_ai.domain.genes import PROTECTED_PREFIXES, ChoiceGene, Condition, FloatGene, SearchSpace
from evolving_ai.errors import DataError
from evolving_ai.rollout.gates import (
    MOST_DECISION_S,
    PROTECTED,
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

SPACE = SearchSpace(
    [
        FloatGene(name="score.weight", component="decision.scoring", low=0.0, high=10.0, default=1.0),
        ChoiceGene(name="quality.kind", component="decision.quality", choices=("mean", "rich"), default="mean"),
        FloatGene(
            name="quality.depth",
            component="decision.quality",
            low=0.0,
            high=1.0,
            default=0.5,
            active_when=Condition("quality.kind", ("rich",)),
        ),
    ]
)
LIVE = Genome(SPACE.defaults())


def held_out(**changes: Any) -> HeldOut:
    usual = HeldOut(
        rows="validation requests",
        requests=300,
        quality=70.0,
        live_quality=70.0,
        difference=0.0,
        low=-1.0,
        high=1.0,
        cost_usd_per_1k=0.1,
        live_cost_usd_per_1k=0.1,
    )
    return dataclasses.replace(usual, **changes)


@pytest.mark.parametrize(
    ("genes", "reason"),
    [
        ({"score.weight": 1.0}, "quality.kind is missing"),
        ({**LIVE.genes, "score.weight": 11.0}, "score.weight cannot be 11"),
        ({**LIVE.genes, "score.weight": "1"}, "score.weight cannot be '1'"),
        ({**LIVE.genes, "quality.depth": 0.5}, "quality.depth is read only when quality.kind is rich"),
        ({**LIVE.genes, "score.wait": 1.0}, "did you mean score.weight?"),
        (LIVE.genes, "live already"),
    ],
)
def test_dna_that_is_not_legal_or_not_new_is_vetoed(genes: dict[str, Any], reason: str) -> None:
    found = judge_genome(Genome(genes), LIVE, SPACE)
    assert (found.name, found.passed) == (GateName.GENOME, False)
    assert reason in found.detail


def test_legal_new_dna_passes() -> None:
    assert judge_genome(LIVE.replacing({"score.weight": 2.0}), LIVE, SPACE).passed


@pytest.mark.parametrize("gene", ["budget.daily", "gate.quality", "rollout.alpha", "evaluator.folds", "audit.off"])
def test_a_gene_that_names_what_is_protected_is_vetoed(gene: str) -> None:
    found = judge_protected(LIVE.replacing({gene: 1.0}), LIVE, SPACE)
    assert not found.passed
    assert f"{gene} names what is protected" in found.detail


@pytest.mark.parametrize("component", ["security.access", "sandbox", "optimizer.budgets", "rollout.gates"])
def test_a_gene_whose_component_is_protected_is_vetoed(component: str) -> None:
    space = SearchSpace([FloatGene(name="harmless.name", component=component, low=0.0, high=1.0, default=0.5)])
    found = judge_protected(Genome({"harmless.name": 0.7}), Genome({"harmless.name": 0.5}), space)
    assert not found.passed
    assert "harmless.name names what is protected" in found.detail


def test_a_gene_outside_the_space_is_vetoed() -> None:
    found = judge_protected(LIVE.replacing({"prompt.text": "hello"}), LIVE, SPACE)
    assert (found.passed, found.detail) == (False, "prompt.text is no gene of the routing policy")


def test_what_no_search_space_may_declare_no_dna_may_touch_either() -> None:
    assert {*PROTECTED_PREFIXES} <= {prefix for prefixes in PROTECTED.values() for prefix in prefixes}


def test_every_change_is_listed_with_the_safety_score() -> None:
    candidate = Genome({"score.weight": 3.0, "quality.kind": "rich", "quality.depth": 0.5})
    found = judge_protected(candidate, LIVE, SPACE)
    assert found.passed
    for change in ("score.weight 1 -> 3", "quality.kind mean -> rich", "quality.depth none -> 0.5"):
        assert change in found.detail
    assert found.figures["changes"] == 3
    assert found.figures["safety_score"] == pytest.approx(1 - (0.2 + 1 + 1) / 3)


@pytest.mark.parametrize(
    ("changes", "passed", "said"),
    [
        ({}, True, "decided 200 prompts"),
        ({"models": ("a",)}, False, "differ in b"),
        ({"models": ("a", "b", "c")}, False, "differ in c"),
        ({"has_only_numbers": False}, False, "no finite number"),
    ],
)
def test_a_policy_has_to_know_the_pool_and_hold_numbers(changes: dict[str, Any], passed: bool, said: str) -> None:
    usual = PolicyCheck(pool=("a", "b"), models=("a", "b"), has_only_numbers=True, asked=200)
    found = judge_snapshot(dataclasses.replace(usual, **changes))
    assert found.passed == passed
    assert said in found.detail


@pytest.mark.parametrize(("difference", "passed"), [(2.0, True), (0.0, True), (-3.0, True), (-3.01, False)])
def test_the_estimate_of_quality_may_fall_by_the_margin_and_no_further(difference: float, passed: bool) -> None:
    found = judge_hold_out(held_out(difference=difference, low=difference - 4, high=difference + 4), 0.03)
    assert found.passed == passed
    assert f"{difference:+.1f} points ({difference - 4:+.1f} to {difference + 4:+.1f}) on 300 val" in found.detail


def test_without_recorded_outcomes_only_live_evidence_will_tell() -> None:
    found = judge_hold_out(None, 0.03)
    assert (found.passed, found.detail) == (True, "no recorded outcomes: only live evidence will tell")


def test_choices_that_were_never_recorded_are_said_so() -> None:
    assert "12% of its first choices were never recorded" in judge_hold_out(held_out(unrecorded=0.12), 0.03).detail


@pytest.mark.parametrize(
    ("predicted", "recorded", "passed"),
    [
        ((0.11, 0.1), (0.11, 0.1), True),
        ((0.111, 0.1), (0.05, 0.1), False),
        ((0.05, 0.1), (0.111, 0.1), False),
        ((0.0, 0.0), (0.0, 0.0), True),
        ((0.1, 0.0), (0.0, 0.0), False),
    ],
)
def test_neither_predicted_nor_recorded_cost_may_exceed_the_margin(
    predicted: tuple[float, float], recorded: tuple[float, float], passed: bool
) -> None:
    found = judge_cost(predicted, held_out(cost_usd_per_1k=recorded[0], live_cost_usd_per_1k=recorded[1]), 0.1)
    assert found.passed == passed
    assert "predicted" in found.detail
    assert "recorded" in found.detail


def test_without_rows_the_predicted_cost_decides() -> None:
    assert judge_cost((1.0, 1.0), None, 0.1).passed
    assert not judge_cost((1.2, 1.0), None, 0.1).passed


@pytest.mark.parametrize(("slow", "passed"), [(0, True), (2, True), (3, False), (200, False)])
def test_one_decision_in_a_hundred_may_be_slow(slow: int, passed: bool) -> None:
    decisions = [MOST_DECISION_S * 2] * slow + [1e-4] * (200 - slow)
    assert judge_latency(decisions, None).passed == passed


@pytest.mark.parametrize(("latency_s", "passed"), [(1.0, True), (1.5, True), (1.51, False)])
def test_recorded_latency_may_be_half_as_long_again(latency_s: float, passed: bool) -> None:
    found = judge_latency([1e-4], held_out(latency_s=latency_s, live_latency_s=1.0))
    assert found.passed == passed
    assert found.figures["recorded_s"] == latency_s


def test_a_gate_that_could_not_be_asked_vetoes_in_one_line() -> None:
    found = refusal(GateName.SNAPSHOT, DataError("first line\nsecond line"))
    assert (found.passed, found.detail) == (False, "first line")
    assert refusal(GateName.SNAPSHOT, KeyError()).detail == "KeyError"


@given(
    st.sampled_from(GateName),
    st.booleans(),
    st.text(),
    st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)),
)
def test_a_result_survives_json(name: GateName, passed: bool, detail: str, figures: dict[str, float]) -> None:
    result = GateResult(name, passed, detail, figures)
    assert GateResult.from_json(json.loads(json.dumps(result.to_json(), allow_nan=False))) == result


def test_a_figure_that_no_json_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="no number"):
        GateResult(GateName.COST_LIMIT, passed=True, detail="", figures={"ratio": float("inf")})
