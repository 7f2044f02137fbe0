"""What is missing: a candidate is not promoted on what was seen of the control alone, nor on the users of a burn-in."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from evolving_ai._common.rng import derive_rng
from evolving_ai.rollout.controller import RolloutController
from evolving_ai.rollout.evidence import Observation, RailName, Verdict
from evolving_ai.rollout.plan import Margins, RolloutPlan, Stage
from tests.unit.rollout.made_up_requests import play, requests

PLAN = RolloutPlan(
    stages=(Stage(0.2, 200), Stage(0.5, 300)),
    margins=Margins(quality=0.10, errors=0.05, slow=0.10),
    max_requests=5000,
)


def rated(
    chance: np.random.Generator, observations: Iterator[Observation], *, canary: float, control: float
) -> Iterator[Observation]:
    """Only that share of an arm's requests keeps its score."""
    for observation in observations:
        is_rated = chance.random() < (canary if observation.is_canary else control)
        yield observation if is_rated else observation._replace(score=None)


@pytest.mark.parametrize(("canary", "score"), [(0.0, 0.2), (0.01, 0.45), (0.05, 0.55), (0.1, 0.7)])
def test_a_candidate_that_is_seldom_rated_is_not_promoted(canary: float, score: float) -> None:
    for seed in range(3):
        chance, controller = derive_rng(seed, "seldom"), RolloutController(PLAN)
        made = requests(chance, controller, score=score)
        final = play(controller, rated(chance, made, canary=canary, control=0.95))[-1]
        assert final.verdict is Verdict.ROLL_BACK


def test_a_candidate_that_is_rated_as_seldom_as_the_live_dna_is_promoted() -> None:
    chance, controller = derive_rng(2, "seldom"), RolloutController(PLAN)
    final = play(controller, rated(chance, requests(chance, controller), canary=0.4, control=0.4))[-1]
    assert final.verdict is Verdict.PROMOTE


def test_one_user_with_many_requests_makes_no_arm_uneven() -> None:
    controller = RolloutController(PLAN)
    busy = Observation(False, 0.2, score=1.0, cost_usd=0.1, latency_s=1.0, has_failed=False, unit=7)
    rulings = {controller.observe(busy).verdict for _ in range(1000)}
    assert Verdict.ROLL_BACK not in rulings


def test_users_of_the_burn_in_are_proof_with_their_first_request_after_it() -> None:
    """Rule broken: who came while the yardsticks were made was used up, and a small circle of users proved nothing."""
    controller = RolloutController(PLAN)
    known = Observation(False, 0.2, cost_usd=0.001, latency_s=1.0, has_failed=False)
    for number in range(100):
        controller.observe(known._replace(unit=number % 50))
    before = proofs(controller)
    controller.observe(known._replace(unit=7))
    first = proofs(controller)
    assert first[RailName.LATENCY] != before[RailName.LATENCY]
    assert first[RailName.ERRORS] == before[RailName.ERRORS]  # that has no burn-in
    controller.observe(known._replace(unit=7))
    assert proofs(controller) == first


def proofs(controller: RolloutController) -> dict[RailName, float]:
    return {rail.rail: rail.proof for rail in controller.evidence()}


def test_no_candidate_with_a_costly_tail_is_promoted() -> None:
    """Rule broken: what is above ten means counted as ten, so a rare cost of a hundred means looked like a saving."""
    chance, controller = derive_rng(4, "tail"), RolloutController(replace(PLAN, max_requests=3000))
    dear = (
        it._replace(cost_usd=0.2 if chance.random() < 0.02 else 0.0003) if it.is_canary else it
        for it in requests(chance, controller)
    )
    final = play(controller, dear)[-1]
    cost = next(rail for rail in controller.evidence() if rail.rail is RailName.COST)
    assert (final.verdict, cost.is_proven, cost.is_breached) == (Verdict.ROLL_BACK, False, False)
    assert cost.proof >= cost.proof_threshold
    assert "USD per 1,000 requests more" in final.reason
