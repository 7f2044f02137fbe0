"""Genes and the space that they span."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.domain.genes import (
    PROTECTED_PREFIXES,
    ChoiceGene,
    Condition,
    FloatGene,
    GeneValue,
    IntGene,
    SearchSpace,
    TextGene,
)
from evolving_ai.errors import GeneError

KIND = ChoiceGene(name="kind", component="c", choices=("near", "linear", "none"), default="near")
NEIGHBOURS = IntGene(
    name="k", component="c", low=1, high=50, default=5, log=True, active_when=Condition("kind", ("near",))
)
SLOPE = FloatGene(
    name="slope", component="c", low=-1.0, high=1.0, default=0.0, active_when=Condition("kind", ("linear",))
)
PROMPT = TextGene(name="prompt", component="p", max_length=5)
SPACE = SearchSpace([KIND, NEIGHBOURS, SLOPE, PROMPT])


@pytest.mark.parametrize("value", [-1.0, 1, 0, 0.5])
def test_a_float_gene_takes_numbers_in_its_range(value: float) -> None:
    assert SLOPE.check(value) == value


@pytest.mark.parametrize("value", [1.0001, -2, float("nan"), float("inf"), "0.5", True, None, 10**400])
def test_a_float_gene_refuses_what_is_no_number_in_its_range(value: object) -> None:
    with pytest.raises(GeneError, match=r"gene slope cannot be .*: expected a number from -1 to 1"):
        SLOPE.check(value)


def test_an_int_gene_takes_a_whole_float_as_an_int() -> None:
    assert NEIGHBOURS.check(7.0) == 7
    assert type(NEIGHBOURS.check(7.0)) is int


@pytest.mark.parametrize("value", [0, 51, 7.5, float("inf"), "7", False, 10**400])
def test_an_int_gene_refuses_what_is_no_whole_number_in_its_range(value: object) -> None:
    with pytest.raises(GeneError, match="a whole number from 1 to 50"):
        NEIGHBOURS.check(value)


@pytest.mark.parametrize("value", ["far", "", 1, None])
def test_a_choice_gene_refuses_other_names(value: object) -> None:
    with pytest.raises(GeneError, match="one of near, linear, none"):
        KIND.check(value)


@pytest.mark.parametrize("value", ["sixsix", "\ud800", 3])
def test_a_text_gene_refuses_what_is_too_long_or_cannot_be_encoded(value: object) -> None:
    with pytest.raises(GeneError, match="at most 5 characters"):
        PROMPT.check(value)


def test_the_error_is_one_short_line_whatever_the_value() -> None:
    with pytest.raises(GeneError) as caught:
        PROMPT.check("line\n" * 1000)

    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 120


def test_an_illegal_declaration_is_refused() -> None:
    with pytest.raises(ValueError, match="not legal"):
        FloatGene(name="x", component="c", low=0.0, high=1.0, default=0.5, log=True)
    with pytest.raises(GeneError):
        IntGene(name="x", component="c", low=0, high=1, default=2)


def test_an_inactive_gene_is_not_part_of_a_genome() -> None:
    assert SPACE.defaults() == {"kind": "near", "k": 5, "prompt": ""}
    assert SPACE.complete({"kind": "linear", "k": 9}) == {"kind": "linear", "slope": 0.0, "prompt": ""}


def test_validate_wants_exactly_the_active_genes() -> None:
    SPACE.validate({"kind": "none", "prompt": "hi"})
    with pytest.raises(GeneError, match="gene k is read only when kind is near"):
        SPACE.validate({"kind": "none", "prompt": "", "k": 5})
    with pytest.raises(GeneError, match="gene prompt is missing"):
        SPACE.validate({"kind": "none"})


def test_an_unknown_gene_gets_a_suggestion() -> None:
    with pytest.raises(GeneError, match="unknown gene promt: did you mean prompt"):
        SPACE.complete({"promt": "x"})


@pytest.mark.parametrize("prefix", PROTECTED_PREFIXES)
def test_no_gene_can_name_a_protected_field(prefix: str) -> None:
    with pytest.raises(ValueError, match="protected"):
        SearchSpace([FloatGene(name=f"{prefix}x", component="c", low=0, high=1, default=0)])


def test_a_condition_must_name_an_earlier_choice() -> None:
    with pytest.raises(ValueError, match="no earlier choice gene"):
        SearchSpace([NEIGHBOURS, KIND])


def test_only_selects_genes_and_groups_and_drops_open_conditions() -> None:
    space = SearchSpace([KIND, NEIGHBOURS, FloatGene(name="w.a", component="w", low=0, high=1, default=0)])

    selected = space.only(["w.", "k"])

    assert [gene.name for gene in selected] == ["k", "w.a"]
    assert selected.gene("k").active_when is None
    with pytest.raises(GeneError, match="unknown gene z"):
        space.only(["z"])


VALUES = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from(KIND.choices),
        "k": st.integers(1, 50),
        "slope": st.floats(-1, 1),
        "prompt": st.text(st.characters(codec="utf-8"), max_size=5),
    },
)


@given(VALUES)
def test_completing_always_gives_a_legal_genome_and_is_idempotent(values: dict[str, GeneValue]) -> None:
    complete = SPACE.complete(values)

    SPACE.validate(complete)
    assert SPACE.complete(complete) == complete
