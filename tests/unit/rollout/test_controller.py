"""What a canary comes to: growth, promotion, rollback, and a checkpoint that changes nothing."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai._common.rng import derive_rng
from evolving_ai.errors import DataError
from evolving_ai.rollout.controller import RolloutController
from evolving_ai.rollout.evidence import Observation, RailEvidence, RailName, Ruling, Verdict
from evolving_ai.rollout.plan import Margins, RolloutPlan, Stage
from experiments.benchmarks.demo.simulation import Scenario
from experiments.benchmarks.demo.simulation import play as play_scenario
from tests.unit.rollout.made_up_requests import OBSERVATIONS, play, requests

WIDE = Margins(quality=0.10, errors=0.05, slow=0.10)
QUICK = RolloutPlan(stages=(Stage(0.2, 200), Stage(0.5, 300)), margins=WIDE, max_requests=5000)
SHORT = RolloutPlan(stages=(Stage(0.2, 3), Stage(0.4, 3), Stage(0.5, 3)), margins=WIDE, max_requests=30)


def rails(controller: RolloutController) -> dict[RailName, RailEvidence]:
    return {rail.rail: rail for rail in controller.evidence()}


def test_a_good_and_cheap_candidate_grows_and_is_promoted() -> None:
    controller = RolloutController(QUICK)
    rulings = play(controller, requests(derive_rng(1, "good"), controller))
    assert [ruling.verdict for ruling in rulings] == [Verdict.GROW, Verdict.PROMOTE]
    assert rulings[0].reason == "no harm found in 200 requests: from 20% to 50% of the requests"
    assert rulings[1].reason.startswith("non-inferior in quality (")
    assert "% of the live DNA's cost" in rulings[1].reason
    assert all(rail.is_proven and rail.proof >= rail.proof_threshold for rail in controller.evidence())
    assert not any(rail.is_breached for rail in controller.evidence())


def test_a_candidate_that_answers_badly_is_rolled_back_early() -> None:
    controller = RolloutController(QUICK)
    final = play(controller, requests(derive_rng(2, "bad"), controller, score=0.2))[-1]
    canary, control = controller.counts
    assert final.verdict is Verdict.ROLL_BACK
    assert final.reason.startswith("quality: ")
    assert f"of 80 needed, {canary:,} canary requests)" in final.reason
    assert "points worse than the live DNA" in final.reason
    assert rails(controller)[RailName.QUALITY].is_breached
    assert canary + control < 600


def test_a_candidate_that_fails_is_rolled_back() -> None:
    controller = RolloutController(QUICK)
    final = play(controller, requests(derive_rng(3, "failing"), controller, failing=0.9))[-1]
    assert (final.verdict, final.reason.split(":")[0]) == (Verdict.ROLL_BACK, "errors")
    assert "points more failed requests than the live DNA" in final.reason


def test_a_candidate_that_costs_more_is_rolled_back() -> None:
    controller = RolloutController(QUICK)
    final = play(controller, requests(derive_rng(4, "dear"), controller, cost_ratio=4.0))[-1]
    assert (final.verdict, final.reason.split(":")[0]) == (Verdict.ROLL_BACK, "cost")
    assert "USD per 1,000 requests more than the live DNA" in final.reason


def test_a_candidate_that_is_slow_is_rolled_back() -> None:
    controller = RolloutController(QUICK)
    slow = (
        observation._replace(latency_s=100.0) if observation.is_canary else observation
        for observation in requests(derive_rng(5, "slow"), controller)
    )
    final = play(controller, slow)[-1]
    assert (final.verdict, final.reason.split(":")[0]) == (Verdict.ROLL_BACK, "latency")


@pytest.mark.parametrize(
    ("rail", "field"),
    [(RailName.QUALITY, "score"), (RailName.COST, "cost_usd"), (RailName.LATENCY, "latency_s")],
)
def test_what_cannot_be_proven_is_rolled_back_and_says_what_was_missing(rail: RailName, field: str) -> None:
    controller = RolloutController(replace(QUICK, max_requests=2500))
    silent = (observation._replace(**{field: None}) for observation in requests(derive_rng(6, "silent"), controller))
    final = play(controller, silent)[-1]
    reason = f"not shown to be safe in 2,500 requests: {rail.value} (not observed in both arms)"
    assert final == Ruling(Verdict.ROLL_BACK, reason)
    assert not any(rail.is_breached for rail in controller.evidence())


def test_harm_shares_alpha_among_the_rails_and_each_rail_has_to_be_proven_at_alpha() -> None:
    evidence = RolloutController(replace(QUICK, alpha=0.01)).evidence()
    assert {rail.harm_threshold for rail in evidence} == {400.0}
    assert {rail.proof_threshold for rail in evidence} == {100.0}


def test_a_candidate_that_saves_nothing_is_not_promoted() -> None:
    controller = RolloutController(replace(QUICK, max_requests=3000))
    final = play(controller, requests(derive_rng(7, "same"), controller, cost_ratio=1.0))[-1]
    assert (final.verdict, rails(controller)[RailName.COST].is_proven) == (Verdict.ROLL_BACK, False)
    assert "cost (e-value " in final.reason


def test_nothing_is_promoted_before_the_last_stage_had_its_requests() -> None:
    plan = replace(QUICK, stages=(Stage(0.5, 1200), Stage(0.6, 800)))
    controller = RolloutController(plan)
    rulings = play(controller, requests(derive_rng(8, "patient"), controller))
    assert [ruling.verdict for ruling in rulings] == [Verdict.GROW, Verdict.PROMOTE]
    assert sum(controller.counts) == 2000


def test_requests_that_were_assigned_before_the_share_grew_do_not_make_the_next_stage() -> None:
    controller = RolloutController(SHORT)
    old = Observation(True, 0.2, has_failed=False)
    for _ in range(10):
        controller.observe(old)
    assert (controller.stage, controller.counts) == (1, (10, 0))
    assert rails(controller)[RailName.ERRORS].canary.count == 10
    rulings = [controller.observe(old._replace(share=0.4)).verdict for _ in range(3)]
    assert rulings == [Verdict.GO_ON, Verdict.GO_ON, Verdict.GROW]


def test_no_share_grows_while_harm_is_suspected() -> None:
    ended_in_first = 0
    for seed in range(10):
        controller = RolloutController(replace(QUICK, stages=(Stage(0.2, 100), Stage(0.5, 300))))
        for observation in requests(derive_rng(seed, "suspected"), controller, score=0.35):
            ruling = controller.observe(observation)
            if ruling.verdict is Verdict.GROW:
                assert all(rail.harm < 4 for rail in controller.evidence())
            if ruling.verdict is Verdict.ROLL_BACK:
                ended_in_first += controller.stage == 0 and sum(controller.counts) > 100
                break
    assert ended_in_first > 0  # without the rule, every one of them grows after 100 requests


def test_only_the_first_request_of_a_unit_is_proof_and_every_one_may_show_harm() -> None:
    repeated, alone = RolloutController(QUICK), RolloutController(QUICK)
    first = Observation(True, 0.2, score=1.0, cost_usd=0.1, latency_s=1.0, has_failed=False, unit=7)
    repeated.observe(first)
    alone.observe(first)
    before = rails(alone)
    for _ in range(50):
        repeated.observe(first)
    for name, rail in rails(repeated).items():
        assert rail.proof == before[name].proof
    for _ in range(50):
        repeated.observe(first._replace(score=0.0, has_failed=True))
    after = rails(repeated)
    assert after[RailName.ERRORS].harm > 4
    assert after[RailName.ERRORS].proof == before[RailName.ERRORS].proof


def test_a_late_score_is_proof_once_for_each_unit() -> None:
    controller = RolloutController(QUICK)
    controller.observe(Observation(True, 0.2, cost_usd=0.1, latency_s=1.0, has_failed=False, unit=7))
    before = rails(controller)[RailName.QUALITY].proof
    controller.observe(Observation(True, 0.2, score=1.0, unit=7))
    once = rails(controller)[RailName.QUALITY].proof
    controller.observe(Observation(True, 0.2, score=1.0, unit=7))
    assert before != once == rails(controller)[RailName.QUALITY].proof


@pytest.mark.slow
def test_a_few_repeated_questions_do_not_make_a_proof() -> None:
    """Rule broken: 100 questions asked again and again, each always of one arm, were taken for thousands."""
    plan = replace(QUICK, margins=replace(WIDE, quality=0.03), max_requests=6000)
    promoted = 0
    for seed in range(30):
        chance, controller = derive_rng(seed, "repeated"), RolloutController(plan)
        arms, good = chance.random(100), chance.random((2, 100)) < np.array([[0.65], [0.62]])
        while True:
            unit = int(chance.integers(100))
            is_canary = bool(arms[unit] < controller.share)
            score, cost = float(good[int(is_canary), unit]), 0.0003 if is_canary else 0.001
            ruling = controller.observe(Observation(is_canary, controller.share, score, cost, 1.0, False, unit << 1))
            if ruling.verdict in (Verdict.PROMOTE, Verdict.ROLL_BACK):
                promoted += ruling.verdict is Verdict.PROMOTE
                break
    assert promoted == 0


def test_harm_is_found_on_a_rail_that_was_proven() -> None:
    controller = RolloutController(replace(QUICK, stages=(Stage(0.5, 4000),)))
    good = requests(derive_rng(15, "at first"), controller)
    while not rails(controller)[RailName.ERRORS].is_proven:
        controller.observe(next(good))
    final = play(controller, requests(derive_rng(15, "later"), controller, failing=0.9))[-1]
    assert (final.verdict, final.reason.split(":")[0]) == (Verdict.ROLL_BACK, "errors")


def test_a_candidate_that_fails_as_often_as_the_margin_allows_is_not_promoted() -> None:
    controller = RolloutController(replace(QUICK, max_requests=2500))
    final = play(controller, requests(derive_rng(16, "at the margin"), controller, failing=WIDE.errors))[-1]
    assert final.verdict is Verdict.ROLL_BACK
    assert final.reason.startswith("not shown to be safe in 2,500 requests: errors (e-value ")


def test_requests_are_counted_once_and_scores_may_come_later() -> None:
    controller = RolloutController(QUICK)
    controller.observe(Observation(True, 0.2, cost_usd=0.1, latency_s=1.0, has_failed=False))
    controller.observe(Observation(True, 0.2, score=1.0))
    controller.observe(Observation(False, 0.2, has_failed=True))
    assert controller.counts == (1, 1)
    assert rails(controller)[RailName.QUALITY].canary.count == 1
    assert rails(controller)[RailName.ERRORS].control.mean == 100.0


@pytest.mark.parametrize(
    ("observation", "rail"),
    [
        (Observation(False, 0.2, score=0.5), RailName.QUALITY),
        (Observation(False, 0.2, has_failed=False), RailName.ERRORS),
    ],
)
def test_what_is_missing_says_nothing_to_the_other_rails(observation: Observation, rail: RailName) -> None:
    controller = RolloutController(QUICK)
    controller.observe(observation)
    assert {name for name, evidence in rails(controller).items() if evidence.control.count} == {rail}


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_request_that_was_not_assigned_by_chance_is_refused(share: float) -> None:
    controller = RolloutController(QUICK)
    with pytest.raises(ValueError, match="expected more than 0, less than 1"):
        controller.observe(Observation(True, share, score=1.0, has_failed=False))
    assert controller.to_json() == RolloutController(QUICK).to_json()


def test_after_the_end_nothing_changes() -> None:
    controller = RolloutController(QUICK)
    final = play(controller, requests(derive_rng(9, "end"), controller, score=0.1))[-1]
    before = controller.to_json()
    good = Observation(True, 0.5, score=1.0, cost_usd=0.0, latency_s=0.1, has_failed=False)
    assert [controller.observe(good) for _ in range(50)] == [final] * 50
    assert controller.to_json() == before


@given(observations=st.lists(OBSERVATIONS, max_size=60))
def test_stages_only_grow_and_the_end_comes_at_the_latest_after_max_requests(observations: list[Observation]) -> None:
    controller = RolloutController(SHORT)
    stages = [controller.stage]
    for observation in observations:
        ruling = controller.observe(observation)
        stages.append(controller.stage)
        assert (ruling.verdict is Verdict.GROW) == (stages[-1] > stages[-2])
        assert controller.share == SHORT.stages[controller.stage].share
        if sum(controller.counts) >= SHORT.max_requests:
            assert ruling.verdict in (Verdict.PROMOTE, Verdict.ROLL_BACK)
    assert stages == sorted(stages)
    assert sum(controller.counts) <= SHORT.max_requests


@given(observations=st.lists(OBSERVATIONS, max_size=60), cut=st.integers(0, 60))
def test_a_checkpoint_changes_nothing(observations: list[Observation], cut: int) -> None:
    whole, first = RolloutController(SHORT), RolloutController(SHORT)
    rulings = [whole.observe(observation) for observation in observations]
    again = [first.observe(observation) for observation in observations[:cut]]
    second = RolloutController.from_json(SHORT, json.loads(json.dumps(first.to_json())))
    again += [second.observe(observation) for observation in observations[cut:]]
    assert again == rulings
    assert (second.evidence(), second.history, second.counts) == (whole.evidence(), whole.history, whole.counts)
    assert second.to_json() == whole.to_json()


@pytest.mark.parametrize("cut", [50, 199, 200, 640])
def test_a_checkpoint_of_a_real_canary_changes_nothing(cut: int) -> None:
    whole = RolloutController(QUICK)
    seen = list(itertools.islice(requests(derive_rng(10, "cut"), whole, score=0.68), 900))
    rulings = [whole.observe(observation) for observation in seen]
    first = RolloutController(QUICK)
    for observation in seen[:cut]:
        first.observe(observation)
    second = RolloutController.from_json(QUICK, json.loads(json.dumps(first.to_json())))
    assert [second.observe(observation) for observation in seen[cut:]] == rulings[cut:]
    assert second.to_json() == whole.to_json()


@pytest.mark.parametrize("damage", [{"stage": 7}, {"rails": {}}, {"final": ["perhaps", ""]}, {"history": [1]}])
def test_what_is_no_checkpoint_is_refused(damage: dict[str, object]) -> None:
    document = RolloutController(QUICK).to_json()
    with pytest.raises(DataError, match="no checkpoint of a rollout under this plan"):
        RolloutController.from_json(QUICK, {**document, **damage})


def test_history_is_thinned_evenly_and_ends_at_the_end() -> None:
    controller = RolloutController(replace(QUICK, max_requests=3001))
    play(controller, requests(derive_rng(11, "history"), controller, cost_ratio=1.0))
    counts = [point.requests for point in controller.history]
    steps = {after - before for before, after in itertools.pairwise(counts[:-1])}
    assert counts[-1] == 3001
    assert len(steps) == 1
    assert 100 <= len(counts) <= 256
    quality = rails(controller)[RailName.QUALITY]
    assert controller.history[-1].rails[0] == (quality.harm, quality.proof, quality.difference)


def test_the_evidence_is_a_json_document() -> None:
    controller = RolloutController(QUICK)
    play(controller, itertools.islice(requests(derive_rng(12, "json"), controller), 300))
    documents = json.loads(json.dumps([rail.to_json() for rail in controller.evidence()]))
    assert [document["rail"] for document in documents] == ["quality", "cost", "latency", "errors"]


def test_harmless_candidates_are_rarely_rolled_back_for_harm_and_candidates_at_the_margin_rarely_promoted() -> None:
    plan = RolloutPlan(stages=(Stage(0.3, 300), Stage(0.5, 300)), margins=WIDE, max_requests=800)
    same, at_margin = Scenario("same", 0, 1), Scenario("at the margin", 10, 1 / 3)
    harmless = [play_scenario(same, plan, derive_rng(13, "same", run)) for run in range(200)]
    marginal = [play_scenario(at_margin, plan, derive_rng(13, "margin", run)) for run in range(100)]
    assert sum(end.is_harmful for end in harmless) <= _most_of(200, plan.alpha)
    assert sum(end.is_promoted for end in marginal) <= _most_of(100, plan.alpha)


def _most_of(runs: int, alpha: float) -> float:
    """Three standard deviations more than the mean."""
    return runs * alpha + 3 * (runs * alpha * (1 - alpha)) ** 0.5


def test_good_candidates_are_promoted_and_harmful_ones_rolled_back() -> None:
    plan = RolloutPlan(stages=(Stage(0.3, 300), Stage(0.5, 300)), margins=WIDE, max_requests=3000)
    good, bad = Scenario("good", 0, 1 / 3), Scenario("bad", 35, 1 / 3)
    assert sum(play_scenario(good, plan, derive_rng(14, "good", run)).is_promoted for run in range(20)) >= 17
    assert all(play_scenario(bad, plan, derive_rng(14, "bad", run)).is_harmful for run in range(20))
