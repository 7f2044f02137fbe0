"""Figures over cost and quality, against slow references; and the choice of an operating point."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai._common.rng import derive_rng
from evolving_ai.decision.cost_quality import (
    CurvePoint,
    aiq,
    bootstrap_interval,
    cost_limits,
    hull,
    oracle_choice,
    single_points,
)
from evolving_ai.decision.operating_point import Contender, choose_operating_point
from tests.unit.decision.synthetic_outcomes import outcomes

GRID = st.integers(0, 40).map(lambda value: value / 4)
POINTS = st.lists(st.builds(CurvePoint, GRID, GRID.map(lambda value: 10 * value)), min_size=1, max_size=12)


def best_mixture(points: list[CurvePoint], cost: float) -> float:
    """The highest quality at this cost or less, over every mixture of two points; nothing is that cheap: 0."""
    best = 0.0
    for first in points:
        for second in points:
            low, high = sorted((first, second))
            if low.cost_usd_per_1k > cost:
                continue
            if high.cost_usd_per_1k <= cost:
                best = max(best, low.quality, high.quality)
            else:
                share = (cost - low.cost_usd_per_1k) / (high.cost_usd_per_1k - low.cost_usd_per_1k)
                best = max(best, low.quality, (1 - share) * low.quality + share * high.quality)
    return best


@given(points=POINTS, cost=st.floats(0, 12))
def test_the_hull_is_the_best_of_all_mixtures(points: list[CurvePoint], cost: float) -> None:
    corners = hull(points)
    reached = np.interp(
        cost, [corner.cost_usd_per_1k for corner in corners], [corner.quality for corner in corners], left=0.0
    )
    assert reached == pytest.approx(best_mixture(points, cost), abs=1e-9)


@given(points=POINTS)
def test_the_hull_rises_bends_down_and_consists_of_given_points(points: list[CurvePoint]) -> None:
    corners = hull(points)
    assert set(corners) <= set(points)
    costs, qualities = np.array([(c.cost_usd_per_1k, c.quality) for c in corners]).T
    assert (np.diff(costs) > 0).all()
    assert (np.diff(qualities) > 0).all()
    slopes = np.diff(qualities) / np.diff(costs)
    assert (np.diff(slopes) < 1e-9).all()


@given(points=POINTS, ends=st.tuples(GRID, GRID).map(sorted))
def test_aiq_is_the_mean_of_the_best_mixtures(points: list[CurvePoint], ends: list[float]) -> None:
    low, high = ends
    if low == high:
        assert aiq(points, low, high) == max(point.quality for point in points)
        return
    grid = low + (high - low) * (np.arange(400) + 0.5) / 400
    expected = np.mean([best_mixture(points, cost) for cost in grid])
    assert aiq(points, low, high) == pytest.approx(expected, abs=0.2)


@given(points=POINTS, more=POINTS)
def test_more_points_never_lower_the_aiq(points: list[CurvePoint], more: list[CurvePoint]) -> None:
    assert aiq([*points, *more], 0.0, 8.0) >= aiq(points, 0.0, 8.0) - 1e-9


def test_single_models_are_scored_where_they_are_known() -> None:
    table = outcomes(30, missing=0.5)
    points = single_points(table)
    for column, model in enumerate(table.models):
        known = table.known[:, column]
        assert points[model].quality == pytest.approx(100 * table.score[known, column].mean())
        assert points[model].cost_usd_per_1k == pytest.approx(1000 * table.cost_usd[known, column].mean())
    assert "new" not in single_points(table.with_models(("new",)))
    costs = [point.cost_usd_per_1k for point in points.values()]
    assert cost_limits(points.values()) == (min(costs), max(costs))


@given(seed=st.integers(0, 999), missing=st.sampled_from((0.0, 0.5)))
def test_the_oracle_takes_the_best_known_answer_and_of_equals_the_cheapest(seed: int, missing: float) -> None:
    table = outcomes(12, seed=seed, missing=missing)
    for row, choice in enumerate(oracle_choice(table)):
        known = [column for column in range(3) if table.known[row, column]]
        best = min(known, key=lambda column: (-table.score[row, column], table.cost_usd[row, column]))
        assert choice == best


def test_the_oracle_prefers_the_cheaper_of_two_right_answers() -> None:
    table = dataclasses.replace(outcomes(1), score=np.array([[1.0, 1.0, 0.0]]), cost_usd=np.array([[3e-3, 2e-3, 1e-3]]))
    assert oracle_choice(table).tolist() == [1]


@given(values=st.lists(st.floats(-100, 100), min_size=1, max_size=30), seed=st.integers(0, 99))
def test_a_bootstrap_interval_holds_the_mean_and_is_the_same_again(values: list[float], seed: int) -> None:
    first, again = (bootstrap_interval(values, derive_rng(seed, "bootstrap"), resamples=200) for _ in range(2))
    assert first == again
    assert first.value == pytest.approx(np.mean(values))
    assert first.low <= first.high
    assert min(values) - 1e-9 <= first.low
    assert first.high <= max(values) + 1e-9


def test_an_interval_of_many_values_is_about_two_standard_errors_wide_on_each_side() -> None:
    values = derive_rng(0, "values").normal(5.0, 2.0, 400)
    interval = bootstrap_interval(values, derive_rng(0, "bootstrap"))
    error = values.std() / 20
    assert interval.low < interval.value < interval.high
    assert interval.value - interval.low == pytest.approx(1.96 * error, rel=0.15)
    assert interval.high - interval.value == pytest.approx(1.96 * error, rel=0.15)


CONTENDERS = st.lists(st.tuples(*(st.integers(0, most) for most in (20, 8, 10, 4, 5))), min_size=1, max_size=12).map(
    lambda rows: [Contender(i, 5.0 * q, e / 2, c, d / 2, a) for i, (q, e, c, d, a) in enumerate(rows)]
)


@given(contenders=CONTENDERS, limit=st.integers(0, 10))
def test_the_operating_point_is_affordable_and_not_clearly_worse_than_any_affordable_one(
    contenders: list[Contender], limit: float
) -> None:
    chosen = choose_operating_point(contenders, limit)
    affordable = [each for each in contenders if each.cost_usd_per_1k + 2 * each.cost_error <= limit]
    if not affordable:
        assert chosen.cost_usd_per_1k == min(each.cost_usd_per_1k for each in contenders)
        return
    best = max(affordable, key=lambda each: (each.quality, -each.index))
    equals = [each for each in affordable if each.quality >= best.quality - best.quality_error / 2]
    assert chosen in equals
    assert chosen.aiq == max(each.aiq for each in equals)
    rivals = [each for each in equals if each.aiq == chosen.aiq]
    assert (chosen.cost_usd_per_1k, chosen.index) == min((each.cost_usd_per_1k, each.index) for each in rivals)


@given(contenders=CONTENDERS, limit=st.integers(0, 10), data=st.data())
def test_the_operating_point_does_not_depend_on_the_order_of_the_candidates(
    contenders: list[Contender], limit: float, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(contenders))
    assert choose_operating_point(shuffled, limit) == choose_operating_point(contenders, limit)


def test_without_candidates_there_is_no_operating_point() -> None:
    with pytest.raises(ValueError, match="no candidate"):
        choose_operating_point([], 1.0)


@pytest.mark.parametrize(("quality", "expected"), [(81.0, 1), (79.0, 0)])
def test_within_half_a_standard_error_the_better_curve_decides(quality: float, expected: int) -> None:
    best = Contender(0, 82.0, 4.0, 1.0, 0.1, aiq=50.0)
    rival = Contender(1, quality, 4.0, 1.0, 0.1, aiq=60.0)
    assert choose_operating_point([best, rival], 2.0).index == expected
