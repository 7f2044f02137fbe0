"""From answers to rows: means, intervals around them, who answered, and what nobody can do better."""

import pytest

from evolving_ai.demo.measuring import cheapest_model, measured_row, oracle_models, paired_gain
from evolving_ai.demo.traffic import Answered
from tests.doubles.demo_world import outcomes


def answers(*scores: float, model: str = "a", cost_usd: float = 0.001) -> list[Answered]:
    return [Answered(model, score, cost_usd, 0.1 * place) for place, score in enumerate(scores, 1)]


def test_a_row_tells_quality_of_100_and_dollars_for_1000_requests() -> None:
    row = measured_row("seed DNA", [*answers(1, 0, 1, 1), *answers(0.5, model="b", cost_usd=0.002)], seed=1)

    assert (row.name, row.quality, row.cost_usd_per_1k) == ("seed DNA", pytest.approx(70), pytest.approx(1.2))
    assert row.quality_low < 70 < row.quality_high
    assert row.shares == {"a": 0.8, "b": 0.2}
    assert (row.p50_s, row.p95_s) == (pytest.approx(0.2), pytest.approx(0.38))


def test_the_same_seed_gives_the_same_interval() -> None:
    some = answers(*(place**2 % 17 / 17 for place in range(40)))
    assert measured_row("x", some, seed=1) == measured_row("x", some, seed=1)
    assert measured_row("x", some, seed=1).quality_low != measured_row("x", some, seed=2).quality_low


def test_a_gain_is_paired() -> None:
    gain = paired_gain(answers(0.1, 0.5, 1.0), answers(0.0, 0.4, 0.9), seed=1)
    assert (gain.value, gain.low, gain.high) == (pytest.approx(10), pytest.approx(10), pytest.approx(10))


def test_the_oracle_takes_the_cheapest_of_the_best_and_the_cheapest_model_looks_at_cost_alone() -> None:
    table = outcomes([[1, 1, 0], [0, 0.5, 1], [0, 0, 0]], [[3, 2, 1], [3, 2, 1], [3, 2, 1]])
    assert oracle_models(table) == ["m1", "m2", "m2"]
    assert cheapest_model(table) == "m2"
