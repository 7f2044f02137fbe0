"""Recorded features: small, exact where it matters, and enough to see a request again as any snapshot would."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolving_ai.decision.engine import DecisionEngine
from evolving_ai.decision.feature_codec import FeatureEncoder, config_digest, decode_features
from evolving_ai.decision.features import STATISTICS, FeatureConfig, RequestView
from evolving_ai.decision.fitting import Fitter
from evolving_ai.domain.decision import Constraints
from evolving_ai.domain.dna import Genome
from evolving_ai.errors import DataError
from tests.unit.decision.synthetic_outcomes import genome, genomes, outcomes, prompt_of

GENOME = genome(quality__predictor="blend", quality__residual="on", cost__predictor="linear", score__cost_weight=0.1)
CONFIG = FeatureConfig.from_genes(GENOME.genes)
TABLE = outcomes(60, has_context=True)
KNOWN = {"team": "sum"}

CONTEXTS = st.none() | st.dictionaries(st.sampled_from(["team", "other"]), st.sampled_from(["sum", "code", "?"]))
REQUESTS = st.builds(RequestView, st.text(max_size=800), st.none() | st.integers(0, 10**6), CONTEXTS)


@pytest.fixture(scope="module")
def engine() -> DecisionEngine:
    return DecisionEngine(GENOME, Fitter(TABLE).fit(GENOME.genes))


@given(
    filled=st.dictionaries(st.integers(0, CONFIG.buckets - 1), st.integers(1, 600), max_size=400),
    statistics=st.lists(st.floats(0, 16, width=16), min_size=STATISTICS, max_size=STATISTICS),
    context=st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=3),
)
def test_what_is_encoded_comes_back(
    filled: dict[int, int], statistics: list[float], context: list[tuple[str, str]]
) -> None:
    counts = np.zeros(CONFIG.buckets, np.intp)
    for bucket, hits in filled.items():
        counts[bucket] = hits
    before = counts.copy()

    seen = decode_features(FeatureEncoder(CONFIG).encode(counts, np.array(statistics, np.float32), context))

    assert seen is not None
    np.testing.assert_array_equal(seen.counts, np.minimum(before, 255))
    np.testing.assert_array_equal(counts, before)
    np.testing.assert_array_equal(seen.statistics, np.array(statistics, np.float32))
    assert seen.context == tuple(context)
    assert seen.digest == config_digest(CONFIG)


@given(request=REQUESTS)
def test_encoding_changes_no_decision(engine: DecisionEngine, request: RequestView) -> None:
    decision, _ = engine.decide_and_encode(request)
    assert decision == engine.decide(request)


@given(request=REQUESTS)
def test_the_recorded_features_predict_as_the_request_did(engine: DecisionEngine, request: RequestView) -> None:
    _, features = engine.decide_and_encode(request)

    heads = engine.heads_of_recorded(decode_features(features))

    assert heads is not None
    again, before = engine.predictor.from_heads(heads), engine.predict(request)
    np.testing.assert_allclose(again.quality, before.quality, atol=5e-3)
    np.testing.assert_allclose(again.cost_usd, before.cost_usd, rtol=2e-2)


@given(wanted=genomes())
@settings(max_examples=10)
def test_another_snapshot_of_the_same_feature_genes_can_read_them(engine: DecisionEngine, wanted: Genome) -> None:
    own = {name: value for name, value in GENOME.genes.items() if name.startswith("features.")}
    merged = Genome({**wanted.genes, **own})
    request = RequestView(prompt_of(7), None, KNOWN)
    other = DecisionEngine(merged, Fitter(outcomes(40, seed=3)).fit(merged.genes))
    _, features = engine.decide_and_encode(request)

    heads = other.heads_of_recorded(decode_features(features))

    assert heads is not None
    np.testing.assert_allclose(other.predictor.from_heads(heads).quality, other.predict(request).quality, atol=2e-2)


def test_features_of_another_configuration_are_not_mistaken(engine: DecisionEngine) -> None:
    changed = GENOME.replacing({"features.head_chars": 123})
    other = DecisionEngine(changed, Fitter(TABLE).fit(changed.genes))
    _, features = other.decide_and_encode(RequestView(prompt_of(1)))

    assert engine.heads_of_recorded(decode_features(features)) is None
    assert engine.heads_of_recorded(None) is None


def test_a_policy_that_looks_at_no_text_records_nothing() -> None:
    blind = genome(quality__predictor="mean")
    engine = DecisionEngine(blind, Fitter(TABLE).fit(blind.genes))

    decision, features = engine.decide_and_encode(RequestView(prompt_of(1)))

    assert features == b""
    assert decode_features(features) is None
    assert decision == engine.decide(RequestView(prompt_of(1)))
    assert engine.heads_of_recorded(None) is not None


def test_a_context_that_the_snapshot_does_not_know_is_not_recorded(engine: DecisionEngine) -> None:
    _, features = engine.decide_and_encode(RequestView(prompt_of(1), None, {"team": "sum", "secret": "hush"}))

    seen = decode_features(features)

    assert seen is not None
    assert seen.context == (("team", "sum"),)
    assert b"hush" not in features


def test_the_features_of_a_short_prompt_are_some_hundred_bytes(engine: DecisionEngine) -> None:
    _, short = engine.decide_and_encode(RequestView("Who?"))
    _, usual = engine.decide_and_encode(RequestView(prompt_of(1)))

    assert len(short) < 100
    assert len(usual) < 600


@given(data=st.data())
def test_damaged_features_are_one_error(engine: DecisionEngine, data: st.DataObject) -> None:
    _, features = engine.decide_and_encode(RequestView(prompt_of(1), None, KNOWN))
    cut = data.draw(st.integers(1, len(features) - 1))

    with pytest.raises(DataError, match="recorded features cannot be read"):
        decode_features(features[:cut])
    with pytest.raises(DataError):
        decode_features(b"\x07" + features[1:])


@given(eligible=st.lists(st.sets(st.sampled_from(("big", "code", "math")), min_size=1).map(frozenset), max_size=6))
def test_a_remembered_restriction_is_the_same_as_a_new_one(
    engine: DecisionEngine, eligible: list[frozenset[str]]
) -> None:
    request = RequestView(prompt_of(3))
    for models in [*eligible, *eligible]:
        decision = engine.decide(request, Constraints(eligible=models))
        assert {target.model for target in decision.ranking} == models
