"""The safety score: how little a change touches."""

import pytest

from evolving_ai.domain.genes import ChoiceGene, FloatGene, SearchSpace
from evolving_ai.domain.mutation import Change
from evolving_ai.domain.safety import safety_score

SPACE = SearchSpace(
    [
        FloatGene(name="linear", component="c", low=0, high=10, default=5),
        FloatGene(name="log", component="c", low=1, high=100, default=10, log=True),
        ChoiceGene(name="kind", component="c", choices=("a", "b"), default="a"),
        ChoiceGene(name="other", component="c", choices=("a", "b"), default="a"),
    ]
)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], 1.0),
        ([Change("linear", 5, 10)], 1 - 0.5 / 4),
        ([Change("linear", 10, 5)], 1 - 0.5 / 4),
        ([Change("log", 1, 10)], 1 - 0.5 / 4),
        ([Change("kind", "a", "b")], 1 - 1 / 4),
        ([Change("linear", None, 5)], 1 - 1 / 4),
        ([Change("linear", 11, 5)], 1 - 1 / 4),
        ([Change("elsewhere", 1, 2)], 1.0),
        ([Change("linear", 0, 10), Change("log", 1, 100), Change("kind", "a", "b"), Change("other", "a", "b")], 0.0),
    ],
)
def test_the_score_falls_with_the_share_of_the_space_that_moved(changes: list[Change], expected: float) -> None:
    assert safety_score(changes, SPACE) == pytest.approx(expected)
