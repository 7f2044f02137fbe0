"""Which targets a model name stands for."""

import pytest

from evolving_ai.errors import RequestError, SettingsError
from evolving_ai.router.catalog import AUTO, Catalog
from tests.doubles.gateway_fakes import target_of

ONE, OTHER = target_of("a/one", region="eu"), target_of("b/one", region="us")
TWO = target_of("a/two", region="eu")
TARGETS = (ONE, OTHER, TWO)


def test_auto_stands_for_every_target_and_leaves_no_model_out() -> None:
    selection = Catalog(TARGETS, {}).resolve(AUTO)

    assert selection.targets == TARGETS
    assert selection.models == {"one", "two"}
    assert selection.constraints.eligible is None


def test_a_catalogue_name_stands_for_all_targets_of_the_model() -> None:
    selection = Catalog(TARGETS, {}).resolve("one")

    assert selection.targets == (ONE, OTHER)
    assert selection.by_model == {"one": (ONE, OTHER)}
    assert selection.constraints.eligible == {"one"}


def test_provider_and_model_stand_for_that_target_alone() -> None:
    assert Catalog(TARGETS, {}).resolve("b/one").targets == (OTHER,)


def test_an_alias_stands_for_targets_and_models_each_once() -> None:
    catalog = Catalog(TARGETS, {"fast": ["b/one", "one", "two"]})

    assert catalog.resolve("fast").targets == (OTHER, ONE, TWO)


def test_the_same_name_gives_the_same_object() -> None:
    catalog = Catalog(TARGETS, {"fast": ["one"]})

    for name in catalog.names:
        assert catalog.resolve(name) is catalog.resolve(name)


@pytest.mark.parametrize("name", ["three", "a/three", "", "AUTO", "x" * 10_000, "a/one "])
def test_an_unknown_name_is_refused_in_one_short_line(name: str) -> None:
    with pytest.raises(RequestError) as caught:
        Catalog(TARGETS, {}).resolve(name)

    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


def test_a_region_leaves_its_targets() -> None:
    catalog = Catalog(TARGETS, {})

    assert catalog.resolve(AUTO).in_region("eu").targets == (ONE, TWO)
    assert catalog.resolve(AUTO).in_region("us").constraints.eligible == {"one"}
    with pytest.raises(RequestError, match="no target in region 'mars'") as caught:
        catalog.resolve("two").in_region("mars")
    assert caught.value.code == "model_not_found"
    assert caught.value.hint == "regions: eu"


def test_a_long_region_is_not_repeated_in_full() -> None:
    with pytest.raises(RequestError) as caught:
        Catalog(TARGETS, {}).resolve("two").in_region("x" * 8000)

    assert len(str(caught.value)) < 200


def test_names_come_auto_first_then_aliases_models_targets() -> None:
    catalog = Catalog(TARGETS, {"zzz": ["one"], "fast": ["two"]})

    assert catalog.names == (AUTO, "fast", "zzz", "one", "two", "a/one", "a/two", "b/one")
    assert catalog.models == ("one", "two")


def test_every_name_that_is_listed_can_be_resolved() -> None:
    """Rule broken: `names` is everything that `resolve` knows; without targets it named `auto`."""
    empty = Catalog((), {})

    assert empty.names == ()
    assert [Catalog(TARGETS, {}).resolve(name).name for name in Catalog(TARGETS, {}).names]
    with pytest.raises(RequestError):
        empty.resolve(AUTO)


def test_two_targets_of_one_name_are_refused() -> None:
    with pytest.raises(SettingsError, match="a/one stands twice"):
        Catalog((ONE, ONE), {})


@pytest.mark.parametrize("name", ["one", "a/one", "auto", "my/alias"])
def test_an_alias_that_hides_another_name_is_refused(name: str) -> None:
    """Rule broken: an alias may not hide another name; it did so silently."""
    with pytest.raises(SettingsError, match="an alias cannot be called"):
        Catalog(TARGETS, {name: ["two"]})


def test_a_model_called_auto_is_refused() -> None:
    with pytest.raises(SettingsError, match="a model cannot be called auto"):
        Catalog((target_of("a/auto"),), {})


def test_an_alias_of_nothing_is_refused() -> None:
    with pytest.raises(SettingsError, match="alias fast names nine, which no target has: expected some of"):
        Catalog(TARGETS, {"fast": ["one", "nine"]})
    with pytest.raises(SettingsError, match="alias fast is empty"):
        Catalog(TARGETS, {"fast": []})
    with pytest.raises(SettingsError, match="names other"):
        Catalog(TARGETS, {"fast": ["other"], "other": ["one"]})
