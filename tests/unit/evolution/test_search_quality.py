"""At equal numbers of evaluations the portfolio finds more than blind sampling. Everything is seeded."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from evolving_ai.evolution.campaign import DEFAULT_EMITTERS, Target
from tests.evaluators.toy import Menu, MixedFront, Zdt1

Make = Callable[..., Any]
SEEDS = range(10)


@pytest.mark.parametrize(
    ("problem", "evaluations", "reference", "share_of_what_blind_sampling_lacks"),
    [
        # The whole volume: 7/6 under quality = sqrt(cost) from (-0.5, -1); 4.4 - 1/3 under ZDT1 from (1.1, 4).
        (MixedFront(), 300, (-0.5, -1.0), 0.25),
        (Zdt1(), 300, (-1.1, -4.0), 0.5),
    ],
    ids=["conditional mixed space", "ZDT1"],
)
def test_the_portfolio_closes_much_of_the_gap_that_blind_sampling_leaves(
    spec_for: Make,
    run: Make,
    problem: Any,
    evaluations: int,
    reference: Sequence[float],
    share_of_what_blind_sampling_lacks: float,
) -> None:
    whole = 7.0 / 6.0 if isinstance(problem, MixedFront) else 1.1 * 4.0 - 1.0 / 3.0

    def volume(emitters: Sequence[str], seed: int) -> float:
        spec = spec_for(problem, seed=seed, max_evaluations=evaluations, emitters=emitters)
        return run(spec, problem).archive.hypervolume(reference)

    blind = statistics.median(volume(("random",), seed) for seed in SEEDS)
    ours = statistics.median(volume(DEFAULT_EMITTERS, seed) for seed in SEEDS)
    assert ours <= whole
    assert ours - blind >= share_of_what_blind_sampling_lacks * (whole - blind)


def test_a_menu_without_hints_is_solved_about_as_fast_as_by_one_plus_one(spec_for: Make, run: Make) -> None:
    # 4 dishes of 5 options: (1+1) needs 30 evaluations (median), blind sampling 433 = 625 ln 2.
    needed = []
    for seed in range(30):
        spec = spec_for(Menu(), seed=seed, max_evaluations=625, window=1, target=Target("right", 4.0))
        needed.append(run(spec, Menu()).evaluations)
    assert statistics.median(needed) <= 36
