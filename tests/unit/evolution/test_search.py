"""What a search finds depends on its spec and the evaluator alone."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.domain.dna import Genome
from evolving_ai.domain.fitness import Evaluation, Objective, Score
from evolving_ai.domain.genes import ChoiceGene, Condition, FloatGene, IntGene, SearchSpace, TextGene
from evolving_ai.evolution.campaign import DEFAULT_EMITTERS, Target
from evolving_ai.evolution.search import Search
from evolving_ai.evolution.state import CampaignState
from evolving_ai.stores.inmemory.campaign_ledger import InMemoryCampaignLedger
from tests.evaluators.toy import Menu, MixedFront, Zdt1

Make = Callable[..., Any]


@pytest.mark.parametrize("slots", [1, 4, 16])
@pytest.mark.parametrize("problem", [MixedFront(), Zdt1(), Menu()], ids=lambda problem: type(problem).__name__)
def test_slots_and_finishing_order_do_not_change_the_archive(
    spec_for: Make, run: Make, shuffled: Make, problem: Any, slots: int
) -> None:
    spec = spec_for(problem, max_evaluations=150, window=16)
    alone = run(spec, problem)
    crowd = run(spec, problem, executor=shuffled(problem, slots=slots, seed=slots))
    assert crowd.archive.digest() == alone.archive.digest()
    assert [one.candidate for one in crowd.scored] == [one.candidate for one in alone.scored]


def test_cma_alone_is_deterministic_with_late_results(spec_for: Make, run: Make, shuffled: Make) -> None:
    spec = spec_for(Zdt1(), max_evaluations=200, window=24, emitters=("cma", "random"))
    digests = {run(spec, Zdt1(), executor=shuffled(Zdt1(), slots=9, seed=s)).archive.digest() for s in range(3)}
    assert len(digests) == 1


def test_another_seed_is_another_search(spec_for: Make, run: Make) -> None:
    first, second = (run(spec_for(MixedFront(), seed=seed), MixedFront()) for seed in (1, 2))
    assert first.archive.digest() != second.archive.digest()


@given(seed=st.integers(0, 2**31), window=st.integers(1, 20))
def test_a_candidate_waits_for_exactly_those_a_window_before_it(seed: int, window: int) -> None:
    problem = Menu()
    search = Search(_spec(problem, seed=seed, window=window, max_evaluations=40))
    while not search.is_over:
        if search.may_ask:
            assert search.admitted == max(0, search.asked - window + 1)
            search.ask()
        else:
            search.admit(problem.evaluate(search.scored[search.admitted].candidate.genome))
    assert search.admitted == 40


def test_no_genome_is_evaluated_twice(spec_for: Make, run: Make) -> None:
    result = run(spec_for(Menu(), max_evaluations=500), Menu())
    hashes = [one.candidate.genome.hash for one in result.scored]
    assert len(set(hashes)) == len(hashes) == 500


def test_a_finite_space_is_searched_to_its_last_genome_and_then_the_campaign_ends(spec_for: Make, run: Make) -> None:
    menu = Menu(dishes=3, options=4)
    result = run(spec_for(menu, max_evaluations=1000), menu)
    assert len({one.candidate.genome.hash for one in result.scored}) == result.evaluations == 4**3
    assert (result.state, result.reason) == (CampaignState.BUDGET_EXHAUSTED, "every genome of the space is spent")


def test_a_space_without_free_genes_evaluates_the_incumbent_alone(spec_for: Make, run: Make) -> None:
    menu = Menu(dishes=2, options=2)
    fixed = {"dish0": "option0", "dish1": "option0"}
    assert run(spec_for(menu, fixed=fixed), menu).evaluations == 1


def test_only_free_genes_change_and_every_candidate_is_legal(spec_for: Make, run: Make) -> None:
    problem = MixedFront()
    spec = spec_for(problem, max_evaluations=120, free=("kind", "scale"), fixed={"weight": 0.25})
    result = run(spec, problem)
    for one in result.scored[1:]:
        genes = one.candidate.genome.genes
        problem.space.validate(genes)
        assert genes["weight"] == 0.25
        defaults = problem.space.complete({"kind": genes["kind"]})
        assert {n for n in genes if genes[n] != defaults[n]} <= {"scale", "weight"}


def test_text_is_never_changed(spec_for: Make, run: Make) -> None:
    problem = _Texts()
    result = run(spec_for(problem, max_evaluations=20), problem)
    assert {one.candidate.genome.genes["prompt"] for one in result.scored} == {"be brief"}


def test_a_failing_evaluation_ranks_worst_and_stops_nothing(spec_for: Make, run: Make) -> None:
    problem = _Fragile()
    result = run(spec_for(problem, max_evaluations=80), problem)
    failed = [one for one in result.scored if one.evaluation.failure]
    assert result.evaluations == 80
    assert failed
    assert not any(one.entered for one in failed)
    assert {one.evaluation.failure for one in failed} <= {"ValueError: too large", "the score of f1 is nan"}


def test_a_campaign_whose_every_evaluation_fails_still_ends(spec_for: Make, run: Make) -> None:
    problem = _Hopeless()
    result = run(spec_for(problem, max_evaluations=30), problem)
    assert (result.state, result.evaluations, len(result.archive)) == (CampaignState.BUDGET_EXHAUSTED, 30, 0)


@pytest.mark.parametrize("emitter", DEFAULT_EMITTERS)
def test_each_emitter_alone_fills_the_budget_with_legal_candidates(spec_for: Make, run: Make, emitter: str) -> None:
    problem = MixedFront()
    result = run(spec_for(problem, emitters=(emitter,), max_evaluations=80), problem)
    for one in result.scored:
        problem.space.validate(one.candidate.genome.genes)
    assert result.evaluations == 80


def test_every_child_tells_what_changed_against_its_first_parent(spec_for: Make, run: Make) -> None:
    result = run(spec_for(MixedFront(), max_evaluations=80), MixedFront())
    for one in result.scored[1:]:
        candidate = one.candidate
        assert all(parent < candidate.index for parent in candidate.parents)
        before = result.scored[candidate.parents[0] if candidate.parents else 0].candidate.genome.genes
        rebuilt = {**before, **{change.gene: change.after for change in candidate.mutation.changes}}
        present = {name: value for name, value in rebuilt.items() if value is not None}
        assert Genome(present).hash == candidate.genome.hash
        assert set(candidate.mutation.target_components) <= {"model", "score", "knn", "tree", "net"}


def test_a_smaller_step_is_a_safer_mutation() -> None:
    search = Search(_spec(Zdt1(), seed=1))
    space = search._space
    start = Zdt1().space.defaults()
    near = space.mutation("m", "manual", start, {**start, "x0": 0.6})
    far = space.mutation("m", "manual", start, {**start, "x0": 1.0, "x1": 0.0})
    assert 0.0 < far.safety_score < near.safety_score < 1.0


def test_the_target_ends_a_campaign_at_the_candidate_that_reached_it(spec_for: Make, run: Make) -> None:
    result = run(spec_for(Menu(), max_evaluations=600, target=Target("right", 3.0)), Menu())
    assert result.state is CampaignState.TARGET_REACHED
    reached = [one.evaluation.scores["right"].value >= 3.0 for one in result.scored[: result.evaluations]]
    assert reached.index(True) == result.evaluations - 1


class _Measured(Menu):
    """A menu whose fitness is the share of right dishes; candidates without a right one have none."""

    def evaluate(self, genome: Genome) -> Evaluation:
        right = super().evaluate(genome).scores["right"]
        measures = {"fitness_score": right.value / self.dishes} if right.value else {}
        return Evaluation(scores={"right": right}, measures=measures)


def test_a_measure_can_be_the_target(spec_for: Make, run: Make, shuffled: Make) -> None:
    problem = _Measured()
    spec = spec_for(problem, max_evaluations=600, window=8, target=Target("fitness_score", 0.75, is_measure=True))
    result = run(spec, problem)
    assert result.state is CampaignState.TARGET_REACHED
    reached = [one.evaluation.measures.get("fitness_score", 0) >= 0.75 for one in result.scored[: result.evaluations]]
    assert reached.index(True) == result.evaluations - 1
    crowd = run(spec, problem, executor=shuffled(problem, slots=5, seed=2))
    assert crowd.archive.digest() == result.archive.digest()


def test_a_measure_that_is_not_reached_spends_the_budget_and_changes_nothing(spec_for: Make, run: Make) -> None:
    problem = _Measured()
    for name in ("fitness_score", "unheard-of"):
        aimed = run(spec_for(problem, target=Target(name, 1.1, is_measure=True)), problem)
        assert aimed.state is CampaignState.BUDGET_EXHAUSTED
        assert aimed.archive.digest() == run(spec_for(problem), problem).archive.digest()


def test_asking_out_of_turn_is_refused(spec_for: Make) -> None:
    search = Search(spec_for(Menu(), window=1))
    search.ask()
    with pytest.raises(RuntimeError, match="admit the next result first"):
        search.ask()


def test_the_ledger_has_every_candidate_before_it_is_evaluated(spec_for: Make, run: Make) -> None:
    menu = Menu()
    spec = spec_for(menu)
    ledger = InMemoryCampaignLedger(spec.to_json())
    witness = _Witness(menu, ledger)
    run(spec, witness, ledger=ledger)
    assert witness.unlogged == []


def _spec(problem: Any, **changes: Any) -> Any:
    from evolving_ai.evolution.campaign import CampaignSpec

    plain = {"id": "test", "max_evaluations": 60, "objectives": problem.objectives, "space": problem.space}
    return CampaignSpec(**{**plain, "base": (Genome(problem.space.defaults()),), **changes})


class _Texts:
    objectives = (Objective("length", "minimize"),)
    space = SearchSpace(
        [
            TextGene(name="prompt", component="prompt", max_length=20, default="be brief"),
            IntGene(name="count", component="prompt", low=1, high=50, default=1),
        ]
    )

    def evaluate(self, genome: Genome) -> Evaluation:
        return Evaluation(scores={"length": Score(float(genome.genes["count"]))})


class _Fragile(Zdt1):
    def evaluate(self, genome: Genome) -> Evaluation:
        if genome.genes["x0"] > 0.8:
            raise ValueError("too large\nwith details that nobody needs")
        if genome.genes["x1"] > 0.8:
            return Evaluation(scores={"f1": Score(float("nan")), "f2": Score(0.0)})
        return super().evaluate(genome)


class _Hopeless(Zdt1):
    def evaluate(self, genome: Genome) -> Evaluation:
        raise RuntimeError


class _Witness:
    def __init__(self, problem: Any, ledger: InMemoryCampaignLedger) -> None:
        self._problem = problem
        self._ledger = ledger
        self.objectives = problem.objectives
        self.unlogged: list[str] = []

    def evaluate(self, genome: Genome) -> Evaluation:
        if genome.hash not in {record.genome_hash for record, _ in self._ledger.candidates()}:
            self.unlogged.append(genome.hash)
        return self._problem.evaluate(genome)


@given(st.data())
def test_numbers_survive_unit_coordinates(data: st.DataObject) -> None:
    from evolving_ai.evolution.free_space import from_unit, to_unit

    whole = IntGene(name="n", component="c", low=1, high=10_000, default=1, log=data.draw(st.booleans()))
    value = data.draw(st.integers(1, 10_000))
    assert from_unit(whole, to_unit(whole, value)) == value
    real = FloatGene(name="x", component="c", low=1e-4, high=1e4, default=1.0, log=data.draw(st.booleans()))
    unit = data.draw(st.floats(-0.5, 1.5))
    assert real.check(from_unit(real, unit)) == pytest.approx(from_unit(real, min(1.0, max(0.0, unit))))


def test_an_enumeration_names_each_genome_of_a_conditional_space_once() -> None:
    from evolving_ai.evolution.free_space import FreeSpace

    when = Condition("kind", ("b",))
    space = SearchSpace(
        [
            ChoiceGene(name="kind", component="c", choices=("a", "b"), default="a"),
            IntGene(name="n", component="c", low=1, high=3, default=1, active_when=when),
        ]
    )
    assert len(list(FreeSpace(space, (), {}).enumerate(space.defaults()))) == 1 + 3
