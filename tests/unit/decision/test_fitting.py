"""Fitting: deterministic, blind to held-out rows, and sane for every legal genome and every odd table."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolving_ai.decision.engine import DecisionEngine
from evolving_ai.decision.features import RequestView
from evolving_ai.decision.fit_cache import FitCache
from evolving_ai.decision.fitting import Fitter, fit_genes
from evolving_ai.decision.outcome_table import OutcomeTable
from evolving_ai.decision.predictor import Predictor
from evolving_ai.domain.dna import Genome
from evolving_ai.errors import DataError
from evolving_ai.wiring.search_space import search_space
from tests.unit.decision.synthetic_outcomes import MODELS, genome, genomes, kind_of, outcomes, prompt_of

TABLES = {
    "plain": outcomes(),
    "context": outcomes(has_context=True),
    "holes": outcomes(missing=0.5),
    "no labels": outcomes(has_labels=False),
    "one query": outcomes(1),
    "one model": outcomes(models=("big",)),
    "one class": dataclasses.replace(outcomes(), labels=("sum",) * 24),
    "a model nobody knows": outcomes().with_models(("new",)),
    "free answers": dataclasses.replace(outcomes(), cost_usd=np.zeros((24, 3))),
    "equal prompts": dataclasses.replace(outcomes(), requests=(RequestView("same", 5),) * 24),
    "an outlier": dataclasses.replace(
        outcomes(40), requests=(RequestView("?\n" * 50_000, 10**6), *outcomes(40).requests[1:])
    ),
    "empty prompts": dataclasses.replace(outcomes(), requests=(RequestView(""),) * 24),
}


def check_sanity(table: OutcomeTable, wanted: Genome) -> None:
    fitter = Fitter(table)
    snapshot = fitter.fit(wanted.genes)
    prediction = Predictor(snapshot, wanted.genes).predict(fitter.features(wanted.genes))
    assert prediction.quality.shape == prediction.cost_usd.shape == (len(table), len(table.models))
    assert np.isfinite(prediction.quality).all()
    assert np.isfinite(prediction.cost_usd).all()
    assert prediction.cost_usd.min() >= 0
    if np.nanmax(table.cost_usd) > 0:
        assert prediction.cost_usd.min() > 0
        assert prediction.cost_usd.max() < 200 * np.nanmax(table.cost_usd)
    # A mean lies within 0..1; caution takes at most two standard errors off, the residual adds what is left over.
    assert prediction.quality.min() >= -6
    assert prediction.quality.max() <= 7
    assert np.isfinite(snapshot.cost_scale_usd)
    assert snapshot.cost_scale_usd > 0


@given(wanted=genomes())
@settings(max_examples=30)
def test_every_legal_genome_fits_and_predicts_sane_numbers(wanted: Genome) -> None:
    check_sanity(TABLES["context"], wanted)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
@given(wanted=genomes())
@settings(max_examples=6)
def test_every_odd_table_can_be_fitted(table: OutcomeTable, wanted: Genome) -> None:
    check_sanity(table, wanted)


@given(wanted=genomes(), name=st.sampled_from(sorted(TABLES)))
@settings(max_examples=30)
def test_one_request_is_predicted_as_in_a_batch(wanted: Genome, name: str) -> None:
    table = TABLES[name]
    fitter = Fitter(table)
    snapshot = fitter.fit(wanted.genes)
    batch = Predictor(snapshot, wanted.genes).predict(fitter.features(wanted.genes))
    engine = DecisionEngine(wanted, snapshot)
    for row, request in enumerate(table.requests):
        single = engine.predict(request)
        np.testing.assert_allclose(single.quality, batch.quality[row], atol=1e-4)
        np.testing.assert_allclose(single.cost_usd, batch.cost_usd[row], rtol=1e-3, atol=1e-9)


@given(wanted=genomes(), seed=st.integers(0, 99))
@settings(max_examples=15)
def test_what_happened_on_held_out_rows_is_not_seen_by_a_fit(wanted: Genome, seed: int) -> None:
    table, rows = outcomes(), np.arange(24) % 3 != 0
    hidden = outcomes(seed=seed + 1000)
    other = dataclasses.replace(
        table,
        score=np.where(rows[:, None], table.score, 1 - hidden.score),
        cost_usd=np.where(rows[:, None], table.cost_usd, hidden.cost_usd * 7),
    )
    assert Fitter(table).fit(wanted.genes, rows).hash == Fitter(other).fit(wanted.genes, rows).hash


def test_what_happened_on_chosen_rows_is_seen_by_a_fit() -> None:
    table, rows = outcomes(), np.arange(24) % 3 != 0
    other = dataclasses.replace(table, score=1 - table.score)
    assert Fitter(table).fit(genome().genes, rows).hash != Fitter(other).fit(genome().genes, rows).hash


@given(first=genomes(), second=genomes())
@settings(max_examples=10)
def test_a_shared_cache_changes_no_fit(first: Genome, second: Genome) -> None:
    table, cache = outcomes(), FitCache()
    shared = Fitter(table, cache=cache)
    hashes = [shared.fit(each.genes).hash for each in (first, second, first)]
    assert hashes == [Fitter(table).fit(each.genes).hash for each in (first, second, first)]


@given(wanted=genomes())
@settings(max_examples=15)
def test_a_snapshot_depends_on_its_fit_genes_alone(wanted: Genome) -> None:
    own = fit_genes(wanted.genes)
    others = {name: value for name, value in search_space().complete(own).items() if name not in own}
    assert Fitter(outcomes()).fit({**own, **others}).hash == Fitter(outcomes()).fit(wanted.genes).hash


def test_a_model_without_outcomes_starts_cold() -> None:
    table = outcomes().with_models(("new",))
    snapshot = Fitter(table).fit(genome().genes)
    known = [table.models.index(model) for model in MODELS]
    means = table.score[:, known].mean(axis=0)
    cold = table.models.index("new")
    assert snapshot.cold_models == ("new",)
    assert snapshot.arrays["quality_mean"][cold] == pytest.approx(means.mean() - means.std(), rel=1e-5)
    assert snapshot.arrays["cost_mean"][cold] == pytest.approx(table.cost_usd[:, known].mean(axis=0).max(), rel=1e-5)
    assert snapshot.cost_scale_usd == pytest.approx(table.cost_usd[:, known].mean(axis=0).max(), rel=1e-5)


def test_a_table_without_outcomes_cannot_be_fitted() -> None:
    empty = dataclasses.replace(outcomes(), score=np.full((24, 3), np.nan), cost_usd=np.full((24, 3), np.nan))
    with pytest.raises(DataError, match="nothing to fit on"):
        Fitter(empty)
    with pytest.raises(DataError, match="nothing to fit on"):
        Fitter(outcomes()).fit(genome().genes, np.zeros(24, np.bool_))


@pytest.mark.parametrize("predictor", ["classes", "clusters", "blend"])
def test_prompts_of_a_kind_are_told_apart(predictor: str) -> None:
    wanted = genome(quality__predictor=predictor, quality__shrinkage=1.0)
    engine = DecisionEngine(wanted, Fitter(outcomes(120)).fit(wanted.genes))
    code, math = engine.models.index("code"), engine.models.index("math")
    for query in range(500, 520):
        quality = engine.predict(RequestView(prompt_of(query), 12)).quality
        assert (quality[math] > quality[code]) == (kind_of(query) == "sum")


def test_context_columns_move_predictions_and_unknown_values_do_not() -> None:
    wanted = genome(quality__predictor="classes", features__context=3.0, quality__shrinkage=1.0)
    engine = DecisionEngine(wanted, Fitter(outcomes(60, has_context=True)).fit(wanted.genes))
    code, math = engine.models.index("code"), engine.models.index("math")

    def lead_of_math(team: str | None) -> float:
        context = None if team is None else {"team": team}
        quality = engine.predict(RequestView("hello", 12, context)).quality
        return float(quality[math] - quality[code])

    assert lead_of_math("sum") > lead_of_math(None) > lead_of_math("code")
    assert lead_of_math("poetry") == lead_of_math(None)


@pytest.mark.parametrize(("predictor", "group"), [("mean", "quality"), ("classes", "class"), ("clusters", "cluster")])
def test_caution_takes_standard_errors_off_the_predicted_quality(predictor: str, group: str) -> None:
    bold, wary = (genome(quality__predictor=predictor, score__caution=caution) for caution in (0.0, 1.5))
    fitter = Fitter(outcomes())
    snapshot, x = fitter.fit(bold.genes), fitter.features(bold.genes)
    less = Predictor(snapshot, bold.genes).predict(x).quality - Predictor(snapshot, wary.genes).predict(x).quality
    errors = np.atleast_2d(snapshot.arrays[f"{group}_error"])
    assert errors.min() > 0
    assert (less >= 1.5 * errors.min(axis=0) - 1e-5).all()
    assert (less <= 1.5 * errors.max(axis=0) + 1e-5).all()
