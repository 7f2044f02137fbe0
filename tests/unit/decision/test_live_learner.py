"""Learning from live outcomes: nothing from nothing, exact means where they can be exact, and changing one's mind."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolving_ai._common.rng import derive_rng
from evolving_ai.decision.engine import DecisionEngine
from evolving_ai.decision.features import RequestView
from evolving_ai.decision.fitting import Fitter
from evolving_ai.decision.learning import LearnerSettings, Lesson, LiveLearner, lesson_of
from evolving_ai.decision.outcome_table import OutcomeTable, load_outcomes
from evolving_ai.decision.prior import price_snapshot
from evolving_ai.decision.snapshot import ARRAY_NAMES, Snapshot
from evolving_ai.domain.decision import Constraints
from evolving_ai.domain.dna import Genome
from evolving_ai.domain.money import TokenPrice
from evolving_ai.domain.outcome import Attempt, AttemptResult
from evolving_ai.errors import UsageError
from evolving_ai.wiring.live_policy import EnginePolicy
from evolving_ai.wiring.snapshots import bootstrap_snapshot
from tests.unit.decision.synthetic_outcomes import MODELS, genome, genomes, kind_of, outcomes, prompt_of
from tests.unit.stores.recorded_outcomes import TYPICAL

SLICE = Path(__file__).parents[3] / "experiments" / "data" / "llmrouter_slice.parquet"
BLEND = genome(quality__predictor="blend", cost__predictor="grouped", score__cost_weight=0.01)
MEAN = genome(quality__predictor="mean", score__cost_weight=0.01)
FIXED_ARRAYS = ("rarity", "statistics_mean", "statistics_scale", "weights", "bias")
KEEP_ALL = LearnerSettings(base_queries=40, forgetting=1.0, max_weight=1.0, min_outcomes=10**9)


@lru_cache
def base_of(wanted: Genome) -> Snapshot:
    return Fitter(outcomes(120)).fit(wanted.genes)


def lesson(wanted: Genome, model: str, score: float, query: int = 1, **changes: float) -> Lesson:
    _, features = DecisionEngine(wanted, base_of(wanted)).decide_and_encode(RequestView(prompt_of(query)))
    made = Lesson(model, score, None, 1e-3, 1.0, features)
    return replace(made, **changes)  # type: ignore[arg-type]


def quality(snapshot: Snapshot, model: str, array: str = "quality_mean") -> float:
    return float(snapshot.arrays[array][..., snapshot.models.index(model)].mean())


@given(wanted=genomes())
@settings(max_examples=10)
def test_from_nothing_nothing_is_learned(wanted: Genome) -> None:
    base = Fitter(outcomes(24)).fit(wanted.genes)
    learner = LiveLearner(wanted, base)

    assert learner.learn([]) is None
    assert learner.snapshot().hash == base.hash


def test_what_is_learned_is_no_matter_of_caution() -> None:
    cautious = BLEND.replacing({"score.caution": 1.0})
    lessons = [lesson(BLEND, "big", 1.0, query) for query in range(10)]

    def learned(wanted: Genome) -> str:
        learner = LiveLearner(wanted, base_of(BLEND), KEEP_ALL)
        learner.learn(lessons)
        return learner.snapshot().hash

    assert learned(cautious) == learned(BLEND)


@given(scores=st.lists(st.sampled_from((0.0, 0.25, 1.0)), min_size=1, max_size=30))
def test_without_groups_the_mean_is_that_of_the_base_and_the_outcomes_together(scores: list[float]) -> None:
    learner = LiveLearner(MEAN, base_of(MEAN), KEEP_ALL)
    learner.learn(lesson(MEAN, "math", score, cost_usd=5e-3) for score in scores)

    learned, before = learner.snapshot(), base_of(MEAN)

    count = KEEP_ALL.base_queries + len(scores)
    expected = (KEEP_ALL.base_queries * quality(before, "math") + sum(scores)) / count
    cost = (KEEP_ALL.base_queries * quality(before, "math", "cost_mean") + 5e-3 * len(scores)) / count
    assert quality(learned, "math") == pytest.approx(expected, abs=1e-6)
    assert quality(learned, "math", "cost_mean") == pytest.approx(cost, rel=1e-5)


@given(wanted=genomes(), scores=st.lists(st.tuples(st.sampled_from(MODELS), st.floats(0, 1)), max_size=20))
@settings(max_examples=15)
def test_whatever_was_learned_is_a_legal_snapshot_with_the_heads_of_the_base(
    wanted: Genome, scores: list[tuple[str, float]]
) -> None:
    base = Fitter(outcomes(24)).fit(wanted.genes)
    engine = DecisionEngine(wanted, base)
    learner = LiveLearner(wanted, base)
    for query, (model, score) in enumerate(scores):
        _, features = engine.decide_and_encode(RequestView(prompt_of(query)))
        learner.learn([Lesson(model, score, None, 1e-3 * (query + 1), 0.5, features)])

    learned = learner.snapshot()

    seen = {model for model, _ in scores}
    unseen = [place for place, model in enumerate(base.models) if model not in seen]
    for name in ARRAY_NAMES:
        array, before = learned.arrays[name], base.arrays[name]
        assert array.shape == before.shape
        assert array.dtype == np.float32
        assert np.isfinite(array).all()
        if name in FIXED_ARRAYS:
            np.testing.assert_array_equal(array, before)
        else:
            np.testing.assert_array_equal(array[..., unseen], before[..., unseen])
        if name.endswith(("quality", "quality_mean")):
            assert ((array >= 0) & (array <= 1)).all()
        if "cost" in name:
            assert (array >= 0).all()
    DecisionEngine(wanted, learned).decide(RequestView("hello"))


@pytest.mark.parametrize("wanted", [MEAN, BLEND], ids=["mean", "blend"])
def test_a_model_that_is_better_than_predicted_rises_and_its_error_falls(wanted: Genome) -> None:
    base = base_of(wanted)
    learner = LiveLearner(wanted, base, replace(KEEP_ALL, base_queries=120))
    learner.learn(lesson(wanted, "math", 1.0, query) for query in range(300))

    learned = learner.snapshot()

    assert quality(learned, "math") > quality(base, "math") + 0.2
    assert quality(learned, "math", "quality_error") < quality(base, "math", "quality_error")
    assert quality(learned, "big") == quality(base, "big")


def test_a_class_learns_what_holds_for_it_alone() -> None:
    base = base_of(BLEND)
    learner = LiveLearner(BLEND, base, KEEP_ALL)
    # The base knows that `code` answers code and fails at sums; now it learns to do sums.
    learner.learn(lesson(BLEND, "code", 1.0 if kind_of(query) == "sum" else 0.9, query) for query in range(200))

    column = base.models.index("code")
    rows = {kind: place for place, kind in enumerate(base.classes)}
    change = learner.snapshot().arrays["class_quality"][:, column] - base.arrays["class_quality"][:, column]
    assert change[rows["sum"]] > 0.3
    assert abs(change[rows["code"]]) < 0.1


def test_a_month_of_hard_requests_does_not_make_a_model_look_worse() -> None:
    base = base_of(BLEND)
    learner = LiveLearner(BLEND, base, KEEP_ALL)
    sums = [query for query in range(400) if kind_of(query) == "sum"]
    learner.learn(lesson(BLEND, "code", 1.0 if place % 10 == 0 else 0.0, query) for place, query in enumerate(sums))

    # It answers one sum in ten, as the base expected, more or less; taken as they come, these outcomes would be a 0.17.
    assert quality(learner.snapshot(), "code") == pytest.approx(quality(base, "code"), abs=0.12)


@pytest.mark.parametrize("cost_predictor", ["mean", "grouped", "linear"])
def test_costs_follow_what_is_paid_with_every_predictor(cost_predictor: str) -> None:
    wanted = genome(quality__predictor="blend", cost__predictor=cost_predictor)
    learner = LiveLearner(wanted, base_of(wanted), replace(KEEP_ALL, base_queries=10))
    before = DecisionEngine(wanted, base_of(wanted)).predict(RequestView(prompt_of(1)))
    place = base_of(wanted).models.index("math")
    learner.learn(
        lesson(wanted, "math", 0.9, query, cost_usd=3 * float(before.cost_usd[place])) for query in range(400)
    )

    after = DecisionEngine(wanted, learner.snapshot()).predict(RequestView(prompt_of(1)))

    assert after.cost_usd[place] == pytest.approx(3 * before.cost_usd[place], rel=0.2)


def test_what_was_forgotten_no_longer_counts() -> None:
    quick = LiveLearner(MEAN, base_of(MEAN), replace(KEEP_ALL, forgetting=0.9))
    slow = LiveLearner(MEAN, base_of(MEAN), KEEP_ALL)
    for learner in (quick, slow):
        learner.learn([lesson(MEAN, "big", 0.0)] * 60)
        learner.learn([lesson(MEAN, "big", 1.0)] * 60)

    assert quality(quick.snapshot(), "big") > 0.99
    assert quality(slow.snapshot(), "big") < 0.75


@given(propensity=st.floats(0.01, 1), count=st.integers(1, 20))
def test_outcomes_that_are_all_equally_rare_count_as_so_many(propensity: float, count: int) -> None:
    capped = replace(KEEP_ALL, max_weight=50)

    def learned(of: float) -> Snapshot:
        learner = LiveLearner(MEAN, base_of(MEAN), capped)
        learner.learn([lesson(MEAN, "big", 0.0, propensity=of)] * count)
        return learner.snapshot()

    assert quality(learned(propensity), "big") == pytest.approx(quality(learned(1.0), "big"), abs=1e-5)


def test_a_rare_outcome_weighs_more_than_a_usual_one_up_to_the_cap() -> None:
    def learned(propensity: float, max_weight: float) -> float:
        learner = LiveLearner(MEAN, base_of(MEAN), replace(KEEP_ALL, max_weight=max_weight))
        learner.learn([lesson(MEAN, "big", 1.0)] * 40 + [lesson(MEAN, "big", 0.0, propensity=propensity)])
        return quality(learner.snapshot(), "big")

    assert learned(1.0, 10) > learned(0.2, 10) > learned(0.1, 10)
    assert learned(0.01, 10) == learned(0.1, 10)


@pytest.mark.parametrize("wanted", [MEAN, BLEND], ids=["mean", "blend"])
def test_a_corrected_score_counts_as_if_it_had_been_the_first(wanted: Genome) -> None:
    corrected, straight = (LiveLearner(wanted, base_of(wanted), KEEP_ALL) for _ in range(2))
    corrected.learn([lesson(wanted, "big", 1.0), lesson(wanted, "big", 0.5, 2)])
    corrected.learn([replace(lesson(wanted, "big", 0.25), previous=1.0)])
    straight.learn([lesson(wanted, "big", 0.25), lesson(wanted, "big", 0.5, 2)])

    for name in ARRAY_NAMES:
        np.testing.assert_allclose(
            corrected.snapshot().arrays[name], straight.snapshot().arrays[name], rtol=1e-5, atol=1e-6
        )


def test_a_correction_of_what_was_never_learned_is_passed_over() -> None:
    learner = LiveLearner(MEAN, base_of(MEAN), KEEP_ALL)
    learner.learn([replace(lesson(MEAN, "big", 0.0), previous=1.0)])
    assert learner.snapshot().hash == base_of(MEAN).hash


@pytest.mark.parametrize("features", [b"", b"damaged", b"\x01" * 80])
def test_without_readable_features_the_overall_means_still_learn(features: bytes) -> None:
    learner = LiveLearner(BLEND, base_of(BLEND), KEEP_ALL)
    learner.learn([replace(lesson(BLEND, "math", 0.0), features=features)] * 40)

    learned = learner.snapshot()

    assert quality(learned, "math") < quality(base_of(BLEND), "math") - 0.1
    assert quality(learned, "math", "class_quality") < quality(base_of(BLEND), "math", "class_quality") - 0.1


def test_models_outside_the_pool_teach_nothing() -> None:
    learner = LiveLearner(MEAN, base_of(MEAN), KEEP_ALL)
    learner.learn([lesson(MEAN, "unheard-of", 1.0)])

    assert learner.learned == 0
    assert learner.snapshot().hash == base_of(MEAN).hash


def test_a_cold_model_warms_up_with_the_first_outcomes() -> None:
    prior = price_snapshot(MEAN, MODELS, {model: TokenPrice(1_000_000, 0) for model in MODELS})
    learner = LiveLearner(MEAN, prior)
    learner.learn(Lesson("math", 1.0, None, 2e-3, 1.0, b"") for _ in range(9))

    learned = learner.snapshot()

    assert learned.cold_models == ("big", "code")
    assert quality(learned, "math") == pytest.approx(0.95, abs=0.01)
    assert DecisionEngine(MEAN, learned).decide(RequestView("hello")).model == "math"


def test_a_snapshot_is_given_whenever_enough_was_learned() -> None:
    learner = LiveLearner(MEAN, base_of(MEAN), replace(KEEP_ALL, min_outcomes=5))
    one = lesson(MEAN, "big", 0.0)

    assert learner.learn([one] * 4) is None
    first = learner.learn([one])
    assert first is not None
    assert first.hash == learner.snapshot().hash != base_of(MEAN).hash
    assert learner.learn([one] * 4) is None
    assert learner.learn([one]) is not None
    assert learner.learned == 10


def test_learning_the_same_lessons_again_gives_the_same_snapshot() -> None:
    lessons = [lesson(BLEND, MODELS[query % 3], float(query % 2), query, propensity=0.3) for query in range(60)]

    def learned(chunks: int) -> str:
        learner = LiveLearner(BLEND, base_of(BLEND))
        for start in range(chunks):
            learner.learn(lessons[start * 60 // chunks : (start + 1) * 60 // chunks])
        return learner.snapshot().hash

    assert learned(1) == learned(7)


def test_a_base_of_other_genes_and_impossible_settings_are_refused() -> None:
    with pytest.raises(UsageError, match="fitted with other genes"):
        LiveLearner(BLEND, base_of(MEAN))
    for wrong in ({"base_queries": 0.0}, {"forgetting": 0.0}, {"forgetting": 1.1}, {"max_weight": 0.5}):
        with pytest.raises(ValueError, match="a learner cannot work with"):
            LearnerSettings(**wrong)  # type: ignore[arg-type]


# --- Lessons ----------------------------------------------------------------------------------------------------------


def test_a_lesson_is_about_the_model_that_answered() -> None:
    failed = Attempt("p/math", AttemptResult.TIMEOUT, None, None, 1.0, 0, 0, 500)
    answered = Attempt("q/big", AttemptResult.OK, 200, None, 1.0, 10, 10, 2_000)
    explored = replace(TYPICAL, propensity=0.05)

    assert lesson_of(explored, 0.5) == Lesson("math", 0.5, None, 1.234e-6, 0.05, b"\x01\x02")
    stood_in = lesson_of(replace(explored, attempts=(failed, answered), target="q/big"), 0.5, 0.25)
    assert stood_in == Lesson("big", 0.5, 0.25, 2e-6, 1.0, b"\x01\x02")


def test_what_nobody_answered_teaches_nothing() -> None:
    assert lesson_of(replace(TYPICAL, target=None), 1.0) is None
    assert lesson_of(replace(TYPICAL, attempts=()), 1.0) is None


# --- A simulation on recorded traffic ---------------------------------------------------------------------------------

COLLAPSE_WITHIN = 300


def play(
    table: OutcomeTable, wanted: Genome, base: Snapshot, requests: int, truth: Callable[[str, float], float]
) -> Snapshot:
    """Serve recorded requests with a policy that is exchanged for each snapshot that the learner gives."""
    rng = derive_rng(0, "traffic")
    learner = LiveLearner(wanted, base, LearnerSettings(min_outcomes=50))
    policy = EnginePolicy(DecisionEngine(wanted, base), generation=1)
    anything = Constraints()
    for seed in range(requests):
        row = int(rng.integers(len(table)))
        decision, features, _ = policy.decide(table.requests[row].prompt, anything, seed=seed)
        column = table.models.index(decision.model)
        score = truth(decision.model, float(table.score[row, column]))
        made = Lesson(decision.model, score, None, float(table.cost_usd[row, column]), decision.propensity, features)
        if (learned := learner.learn([made])) is not None:
            policy = EnginePolicy(DecisionEngine(wanted, learned), generation=policy.generation + 1)
    return policy.engine.snapshot


def share_of(model: str, wanted: Genome, snapshot: Snapshot, table: OutcomeTable) -> float:
    engine = DecisionEngine(wanted, snapshot)
    return float(np.mean([engine.decide(request).model == model for request in table.requests[:200]]))


@pytest.mark.parametrize("predictor", ["mean", "classes", "blend"])
def test_traffic_leaves_a_model_whose_quality_collapses(predictor: str) -> None:
    table = load_outcomes(SLICE, split="test")
    table = table.take(table.known.all(axis=1))
    wanted = genome(quality__predictor=predictor, score__cost_weight=0.05, explore__floor=0.02)
    base = bootstrap_snapshot(wanted, table.models, SLICE, {})
    choices = [DecisionEngine(wanted, base).decide(request).model for request in table.requests[:200]]
    favourite = max(set(choices), key=choices.count)
    assert choices.count(favourite) >= 60

    steady = play(table, wanted, base, COLLAPSE_WITHIN, lambda _, score: score)
    collapsed = play(table, wanted, base, COLLAPSE_WITHIN, lambda model, score: 0.0 if model == favourite else score)

    assert share_of(favourite, wanted, collapsed, table) == 0.0
    if predictor != "mean":  # there, one model gets everything, and others are as good
        assert share_of(favourite, wanted, steady, table) > 0.1
