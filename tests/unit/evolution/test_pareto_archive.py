"""The archive is the set of non-dominated candidates, whatever order they come in."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.domain.fitness import Objective
from evolving_ai.evolution.archives.hypervolume import contributions, hypervolume
from evolving_ai.evolution.archives.pareto import Elite, ParetoArchive

SMALL = st.integers(-4, 4).map(float)  # few values, so that ties and equal points are common


def objectives(count: int) -> tuple[Objective, ...]:
    return tuple(Objective(f"o{number}", "maximize") for number in range(count))


@st.composite
def point_lists(draw: st.DrawFn, *, dimensions: tuple[int, ...] = (1, 2, 3)) -> list[tuple[float, ...]]:
    width = draw(st.sampled_from(dimensions))
    return draw(st.lists(st.tuples(*[SMALL] * width), min_size=1, max_size=25))


def archive_of(points: list[tuple[float, ...]], order: list[int] | None = None, **limits: int) -> ParetoArchive:
    archive = ParetoArchive(objectives(len(points[0])), **limits)
    for index in order or range(len(points)):
        archive.add(Elite(index, f"hash{index}", points[index]))
    return archive


def dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(a >= b for a, b in zip(one, other, strict=True)) and one != other


@given(point_lists())
def test_no_member_dominates_another(points: list[tuple[float, ...]]) -> None:
    members = archive_of(points).members
    assert not any(dominates(a.gains, b.gains) for a, b in itertools.permutations(members, 2))


@given(point_lists())
def test_whoever_is_not_a_member_is_dominated_by_one_or_equal_to_an_earlier_one(
    points: list[tuple[float, ...]],
) -> None:
    members = {member.index: member.gains for member in archive_of(points).members}
    for index, point in enumerate(points):
        if index not in members:
            assert any(
                dominates(gains, point) or (gains == point and member < index) for member, gains in members.items()
            )


@given(point_lists(), st.randoms(use_true_random=False))
def test_the_order_of_insertion_does_not_matter(points: list[tuple[float, ...]], random: object) -> None:
    order = list(range(len(points)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert archive_of(points, order).members == archive_of(points).members
    assert archive_of(points, order).digest() == archive_of(points).digest()


@given(point_lists())
def test_hypervolume_never_shrinks(points: list[tuple[float, ...]]) -> None:
    archive = ParetoArchive(objectives(len(points[0])))
    reference = [-5.0] * len(points[0])
    before = 0.0
    for index, point in enumerate(points):
        entered = archive.add(Elite(index, f"hash{index}", point))
        after = archive.hypervolume(reference)
        assert after >= before - 1e-9
        assert entered == (after > before + 1e-9)
        before = after


@given(point_lists(dimensions=(2, 3)))
def test_hypervolume_is_the_number_of_unit_cells_dominated(points: list[tuple[float, ...]]) -> None:
    cells = itertools.product(range(-5, 4), repeat=len(points[0]))
    covered = sum(any(all(c < x for c, x in zip(cell, point, strict=True)) for point in points) for cell in cells)
    assert hypervolume(np.array(points), np.full(len(points[0]), -5.0)) == pytest.approx(covered)


@given(point_lists(dimensions=(2, 3)))
def test_a_contribution_is_what_is_lost_without_the_point(points: list[tuple[float, ...]]) -> None:
    gains = np.array([member.gains for member in archive_of(points).members])
    reference = np.full(gains.shape[1], -5.0)
    whole = hypervolume(gains, reference)
    for row, contribution in enumerate(contributions(gains, reference)):
        assert contribution == pytest.approx(whole - hypervolume(np.delete(gains, row, axis=0), reference))


@given(point_lists(dimensions=(2, 3)), st.integers(2, 6))
def test_a_bounded_archive_keeps_its_bound_and_the_best_of_each_objective(
    points: list[tuple[float, ...]], bound: int
) -> None:
    archive = archive_of(points, max_size=max(bound, len(points[0])))
    members = [member.gains for member in archive.members]
    assert len(members) <= max(bound, len(points[0]))
    for column in range(len(points[0])):
        assert max(gains[column] for gains in members) == max(point[column] for point in points)


def test_of_equal_candidates_the_earlier_stands() -> None:
    assert [member.index for member in archive_of([(1.0, 2.0)] * 3, order=[2, 0, 1]).members] == [0]


def test_a_result_of_lower_fidelity_never_competes_with_one_of_higher() -> None:
    archive = ParetoArchive(objectives(2))
    assert archive.add(Elite(0, "cheap", (9.0, 9.0)), fidelity=0.1)
    assert archive.add(Elite(1, "full", (1.0, 1.0)), fidelity=1.0)
    assert not archive.add(Elite(2, "cheap again", (9.0, 9.0)), fidelity=0.1)
    assert [member.index for member in archive.members] == [1]


def test_an_improvement_is_nothing_for_a_beaten_candidate_and_grows_with_what_it_adds() -> None:
    archive = archive_of([(0.0, 1.0), (1.0, 0.0)])
    assert archive.improvement((0.0, 0.5)) == 0.0
    assert 0.0 < archive.improvement((0.2, 0.2)) < archive.improvement((0.6, 0.6))


def test_the_digest_tells_scores_apart() -> None:
    assert archive_of([(1.0, 2.0)]).digest() != archive_of([(1.0, 2.5)]).digest()
