"""The order in which targets are tried."""

from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.domain.decision import Constraints, Decision
from evolving_ai.domain.outcome import AttemptResult
from evolving_ai.router.breaker import Breakers
from evolving_ai.router.catalog import Selection
from evolving_ai.router.plan import first_target, targets_in_order
from tests.doubles.gateway_fakes import FakePolicy, target_of

A1, B1, C1 = target_of("a/one"), target_of("b/one"), target_of("c/one")
A2, B2 = target_of("a/two"), target_of("b/two")
A3 = target_of("a/three")
EVERYTHING = Selection.of("auto", [A1, B1, C1, A2, B2, A3], is_everything=True)


def decision(*models: str, eligible: frozenset[str] | None = None) -> Decision:
    return FakePolicy(models).decide("", Constraints(eligible=eligible), seed=0).decision


def broken(*names: str) -> Breakers:
    breakers = Breakers()
    for name in names:
        breakers.tell(name, AttemptResult.CREDENTIALS, 0.0)
    return breakers


def order(
    choice: Decision, selection: Selection, breakers: Breakers, *, now_s: float = 0.0, seed: int = 0
) -> list[str]:
    return [target.name for target in targets_in_order(choice, selection, breakers, now_s, seed)]


def test_the_chosen_model_comes_first_then_the_others_by_score() -> None:
    explored = decision("two", "three", "one")._replace(chosen=2)

    assert order(explored, EVERYTHING, Breakers()) == ["a/one", "b/one", "c/one", "a/two", "b/two", "a/three"]


def test_targets_of_one_model_take_turns_by_the_seed() -> None:
    firsts = [order(decision("one", "two", "three"), EVERYTHING, Breakers(), seed=seed)[:3] for seed in range(3)]

    assert firsts == [["a/one", "b/one", "c/one"], ["b/one", "c/one", "a/one"], ["c/one", "a/one", "b/one"]]


def test_open_breakers_come_last_rather_than_never() -> None:
    choice = decision("one", "two", "three")

    found = order(choice, EVERYTHING, broken("a/one", "c/one", "a/two"))

    assert found == ["b/one", "b/two", "a/three", "a/one", "c/one", "a/two"]
    assert order(choice, EVERYTHING, broken("a/one"), now_s=60.0)[0] == "a/one"


def test_models_without_a_target_and_targets_that_nobody_ranked_are_passed_over() -> None:
    choice = decision("gone", "two", "one", eligible=frozenset({"gone", "two"}))

    assert order(choice, EVERYTHING, Breakers()) == ["a/two", "b/two"]


def test_the_usual_case_is_decided_at_once() -> None:
    choice = decision("three", "one")

    assert first_target(choice, EVERYTHING, Breakers(), 0.0) is A3
    assert first_target(choice, EVERYTHING, broken("a/three"), 0.0) is None
    assert first_target(decision("one"), EVERYTHING, Breakers(), 0.0) is None
    assert first_target(decision("gone"), EVERYTHING, Breakers(), 0.0) is None


@given(
    st.permutations(["one", "two", "three"]),
    st.sets(st.sampled_from([target.name for target in EVERYTHING.targets])),
    st.integers(0, 2**63 - 1),
)
def test_every_target_comes_once_and_none_that_is_shut_before_one_that_is_not(
    models: list[str], shut: set[str], seed: int
) -> None:
    choice, breakers = decision(*models), broken(*shut)

    found = order(choice, EVERYTHING, breakers, seed=seed)

    assert sorted(found) == sorted(target.name for target in EVERYTHING.targets)
    places = [name in shut for name in found]
    assert places == sorted(places)
    first = first_target(choice, EVERYTHING, breakers, 0.0)
    assert first is None or first.name == found[0]
