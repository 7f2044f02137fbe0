"""The settings of the doctor's own platform are those of any platform, and its groups share nothing."""

from evolving_ai.doctor.model_groups import GROUPS
from evolving_ai.doctor.own_platform import platform_settings
from evolving_ai.optimizer.prices import PriceCatalogue
from evolving_ai.router.catalog import Catalog
from evolving_ai.settings import Settings
from evolving_ai.wiring.pool import configured_targets

MODELS = [model for group in GROUPS for model in group.models]


def test_its_settings_make_a_target_of_each_model_without_a_key() -> None:
    settings = Settings.model_validate(platform_settings({model: f"http://127.0.0.1:1/{model}" for model in MODELS}))
    targets = configured_targets(settings, PriceCatalogue())

    assert [target.model for target in targets] == MODELS
    assert {target.api_key_env for target in targets} == {None}
    catalog = Catalog(targets, settings.aliases)
    for group in GROUPS:
        members = catalog.resolve(group.alias).targets
        assert {target.model for target in members} == set(group.models)
        assert {target.timeout_s for target in members} == {group.timeout_s}
        assert len({target.price.input_pico_usd for target in members}) == len(members)


def test_no_two_groups_have_a_model_in_common() -> None:
    assert len(set(MODELS)) == len(MODELS)
