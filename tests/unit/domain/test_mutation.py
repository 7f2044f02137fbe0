"""Mutations: what changed between two genomes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.domain.genes import GeneValue
from evolving_ai.domain.mutation import Change, Mutation, changes_between

genes = st.dictionaries(st.sampled_from("abcde"), st.integers(0, 2) | st.sampled_from(["x", "y"]))


def test_changes_are_listed_by_name_with_none_for_what_does_not_exist() -> None:
    changes = changes_between({"b": 1, "a": 1, "same": 3}, {"a": 2, "c": "new", "same": 3.0})

    assert changes == (Change("a", 1, 2), Change("b", 1, None), Change("c", None, "new"))


@given(genes, genes)
def test_applying_the_changes_to_before_gives_after(before: dict[str, GeneValue], after: dict[str, GeneValue]) -> None:
    result: dict[str, GeneValue | None] = dict(before)

    for change in changes_between(before, after):
        assert result.get(change.gene) == change.before
        result[change.gene] = change.after

    assert {name: value for name, value in result.items() if value is not None} == after


def test_a_mutation_survives_json() -> None:
    mutation = Mutation("mut-1", "gaussian", ("a", "b"), (Change("x", 1.5, None),), 0.25, {"replay": False})

    assert Mutation.from_json(json.loads(json.dumps(mutation.to_json()))) == mutation


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
def test_a_safety_score_outside_zero_to_one_is_refused(score: float) -> None:
    with pytest.raises(ValueError, match="safety score"):
        Mutation("m", "manual", (), (), score)
