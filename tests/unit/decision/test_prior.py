"""What is known before anything was recorded."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolving_ai.decision.engine import DecisionEngine
from evolving_ai.decision.features import RequestView
from evolving_ai.decision.fitting import Fitter
from evolving_ai.decision.prior import TYPICAL_INPUT_TOKENS, TYPICAL_OUTPUT_TOKENS, price_snapshot, with_known_prices
from evolving_ai.domain.dna import Genome
from evolving_ai.domain.money import TokenPrice
from evolving_ai.errors import DataError
from tests.unit.decision.synthetic_outcomes import MODELS, genome, genomes, outcomes, prompt_of

PRICES = {"big": TokenPrice(3_000_000, 15_000_000), "code": TokenPrice(100_000, 400_000), "math": TokenPrice(0, 0)}


def cost_usd(price: TokenPrice) -> float:
    return price.cost_nano_usd(TYPICAL_INPUT_TOKENS, TYPICAL_OUTPUT_TOKENS) / 1e9


@given(wanted=genomes())
@settings(max_examples=40)
def test_with_any_genome_the_cheapest_model_is_chosen(wanted: Genome) -> None:
    # With the smallest cost weight and exponent a difference in price still shows in single precision.
    engine = DecisionEngine(wanted, price_snapshot(wanted, MODELS, PRICES))

    decision = engine.decide(RequestView(prompt_of(1)))

    assert decision.model == "math"
    assert len(set(decision.qualities)) == 1
    np.testing.assert_allclose(decision.costs_usd, [max(cost_usd(PRICES[m]), 1e-7) for m in MODELS], rtol=1e-4)


def test_the_snapshot_covers_the_pool_sorted_and_knows_that_it_knows_nothing() -> None:
    snapshot = price_snapshot(genome(), ["math", "big", "math"], PRICES)

    assert snapshot.models == ("big", "math")
    assert snapshot.cold_models == ("big", "math")
    assert snapshot.hash == price_snapshot(genome(), ["big", "math"], PRICES).hash


def test_a_model_without_a_price_costs_as_much_as_the_dearest() -> None:
    snapshot = price_snapshot(genome(), ["big", "code", "new"], PRICES)
    costs = dict(zip(snapshot.models, snapshot.arrays["cost_mean"], strict=True))

    assert costs["new"] == costs["big"] == pytest.approx(cost_usd(PRICES["big"]))


def test_without_any_price_there_still_is_a_decision() -> None:
    engine = DecisionEngine(genome(), price_snapshot(genome(), MODELS, {}))
    assert engine.decide(RequestView("hello")).model == MODELS[0]


def test_an_empty_pool_is_refused() -> None:
    with pytest.raises(DataError, match="the pool is empty"):
        price_snapshot(genome(), [], PRICES)


@pytest.mark.parametrize("cost_predictor", ["mean", "grouped", "linear"])
def test_a_cold_model_gets_the_cost_of_its_price_and_the_others_keep_theirs(cost_predictor: str) -> None:
    genes = genome(quality__predictor="classes", cost__predictor=cost_predictor).genes
    fitted = Fitter(outcomes(60).with_models([*MODELS, "new"])).fit(genes)

    priced = with_known_prices(fitted, {**PRICES, "new": PRICES["code"]})

    before = DecisionEngine(Genome(genes), fitted).predict(RequestView(prompt_of(1)))
    after = DecisionEngine(Genome(genes), priced).predict(RequestView(prompt_of(1)))
    known = [place for place, model in enumerate(fitted.models) if model != "new"]
    np.testing.assert_array_equal(after.cost_usd[known], before.cost_usd[known])
    assert after.cost_usd[fitted.models.index("new")] == pytest.approx(cost_usd(PRICES["code"]), rel=0.3)
    np.testing.assert_array_equal(after.quality, before.quality)


def test_prices_of_models_that_were_seen_change_nothing() -> None:
    fitted = Fitter(outcomes(30)).fit(genome().genes)
    assert with_known_prices(fitted, PRICES).hash == fitted.hash


@given(st.dictionaries(st.sampled_from(MODELS), st.builds(TokenPrice, st.integers(0, 10**9), st.integers(0, 10**9))))
def test_costs_are_never_nothing(prices: dict[str, TokenPrice]) -> None:
    snapshot = price_snapshot(genome(), MODELS, prices)
    assert (snapshot.arrays["cost_mean"] > 0).all()
    assert snapshot.cost_scale_usd > 0
