"""The pool: targets out of settings or the environment, with a price each, kept beside the live DNA."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from evolving_ai.domain.money import TokenPrice
from evolving_ai.domain.target import ProviderKind
from evolving_ai.errors import CorruptionError, DataError, SettingsError
from evolving_ai.optimizer.prices import CatalogueEntry, PriceCatalogue
from evolving_ai.router.catalog import Catalog
from evolving_ai.settings import PriceSettings, ProviderSettings, Settings, TargetSettings
from evolving_ai.wiring.pool import (
    Pool,
    configured_targets,
    load_pool,
    pool_path,
    providers_in_environment,
    replay_targets,
)
from tests.doubles.gateway_fakes import target_of

KNOWN = {
    ("openai", "cheap"): CatalogueEntry(TokenPrice(150_000, 600_000), max_output_tokens=16_384),
    ("openai", "dear"): CatalogueEntry(TokenPrice(2_500_000, 400_000)),
    ("anthropic", "claude"): CatalogueEntry(TokenPrice(3_000_000, 15_000_000), max_output_tokens=8192),
}
OPENAI = ProviderSettings(base_url="https://127.0.0.1/v1", api_key_env="OPENAI_API_KEY", region="eu", timeout_s=9.0)


def settings(*targets: TargetSettings, **options: Any) -> Settings:
    providers = {"openai": OPENAI, "claude": ProviderSettings(kind="litellm", litellm_provider="anthropic")}
    return Settings(providers=providers, targets=targets, **options)


def catalogue() -> PriceCatalogue:
    return PriceCatalogue(overrides=KNOWN)


# --- Targets out of settings ------------------------------------------------------------------------------------------


def test_a_target_takes_its_provider_and_its_price_from_where_they_stand() -> None:
    (target,) = configured_targets(settings(TargetSettings(provider="openai", model="cheap")), catalogue())

    assert (target.name, target.upstream_model, target.kind) == ("openai/cheap", "cheap", ProviderKind.OPENAI)
    assert (target.base_url, target.api_key_env, target.region) == ("https://127.0.0.1/v1", "OPENAI_API_KEY", "eu")
    assert (target.price, target.max_output_tokens) == (TokenPrice(150_000, 600_000), 16_384)
    assert (target.timeout_s, target.first_byte_timeout_s) == (9.0, 30.0)


def test_an_adapted_provider_is_called_by_litellms_names() -> None:
    one = TargetSettings(provider="claude", model="sonnet", upstream_model="claude")
    (target,) = configured_targets(settings(one), catalogue())

    assert (target.name, target.upstream_model, target.kind) == (
        "claude/sonnet",
        "anthropic/claude",
        ProviderKind.LITELLM,
    )
    assert target.price == TokenPrice(3_000_000, 15_000_000)


def test_a_price_in_the_settings_goes_first_and_is_a_million_times_smaller() -> None:
    price = PriceSettings(input_usd_per_million=Decimal("0.15"), output_usd_per_million=Decimal("2.5"))
    one = TargetSettings(provider="openai", model="cheap", price=price, max_output_tokens=7)
    (target,) = configured_targets(settings(one), catalogue())

    assert target.price == TokenPrice(150_000, 2_500_000)
    assert target.max_output_tokens == 7
    # A million tokens cost what the settings say.
    assert target.price.cost_nano_usd(10**6, 0) == 150_000_000


def test_a_free_target_is_free_because_somebody_said_so() -> None:
    price = PriceSettings(input_usd_per_million=Decimal(0), output_usd_per_million=Decimal(0))
    one = TargetSettings(provider="openai", model="own", price=price)

    assert configured_targets(settings(one), catalogue())[0].price == TokenPrice(0, 0)


def test_a_price_that_nobody_knows_is_an_error_never_0() -> None:
    with pytest.raises(SettingsError, match="no price is known for openai/new: give the target a price"):
        configured_targets(settings(TargetSettings(provider="openai", model="new")), catalogue())


def test_a_target_without_a_price_can_be_charged_like_the_dearest() -> None:
    targets = [TargetSettings(provider="openai", model=model) for model in ("new", "cheap", "dear")]
    found = {t.model: t for t in configured_targets(settings(*targets, unpriced="dearest"), catalogue())}

    assert found["new"].price == TokenPrice(2_500_000, 600_000)
    assert found["new"].max_output_tokens == 4096
    assert found["cheap"].price == TokenPrice(150_000, 600_000)


def test_the_dearest_of_nothing_is_an_error() -> None:
    with pytest.raises(SettingsError, match="nor for any other target"):
        configured_targets(settings(TargetSettings(provider="openai", model="new"), unpriced="dearest"), catalogue())


def test_a_provider_that_is_not_there_is_named() -> None:
    with pytest.raises(SettingsError, match="target m names provider nobody: expected one of openai, claude"):
        configured_targets(settings(TargetSettings(provider="nobody", model="m")), catalogue())


def test_a_provider_without_an_address_is_refused() -> None:
    bare = Settings(
        providers={"own": ProviderSettings(kind="openai")}, targets=(TargetSettings(provider="own", model="cheap"),)
    )
    with pytest.raises(SettingsError, match="provider own has no base_url"):
        configured_targets(bare, catalogue())


# --- The environment --------------------------------------------------------------------------------------------------


def test_a_key_in_the_environment_brings_its_provider() -> None:
    found = providers_in_environment({"OPENAI_API_KEY": "sk-1", "ANTHROPIC_API_KEY": "", "PATH": "/bin"})

    assert set(found.providers) == {"openai"}
    assert {target.provider for target in found.targets} == {"openai"}
    assert "sk-1" not in found.model_dump_json()


def test_without_keys_nothing_is_found() -> None:
    assert providers_in_environment({}).targets == ()


def test_every_model_that_a_key_brings_has_a_price_in_the_catalogue_of_this_release() -> None:
    keys = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "XAI_API_KEY", "MISTRAL_API_KEY")
    found = providers_in_environment(dict.fromkeys(keys, "sk-1"))

    targets = configured_targets(found, PriceCatalogue())

    assert len(targets) == len(found.targets) >= len(keys)
    assert {target.api_key_env for target in targets} == set(keys)
    assert all(target.price.input_pico_usd > 0 for target in targets)
    Catalog(targets, {})  # no name stands twice


# --- Replay -----------------------------------------------------------------------------------------------------------


def test_replay_providers_have_a_target_for_each_model() -> None:
    targets = replay_targets(
        {"b": "http://127.0.0.1:2/v1", "a": "http://127.0.0.1:1/v1"},
        {"a": TokenPrice(1, 2), "b": TokenPrice(3, 4)},
        {"a": 10, "b": 9000},
    )

    assert [target.name for target in targets] == ["replay/a", "replay/b"]
    assert {target.kind for target in targets} == {ProviderKind.REPLAY}
    assert [target.max_output_tokens for target in targets] == [4096, 9000]
    assert all(target.api_key_env is None for target in targets)


# --- Kept -------------------------------------------------------------------------------------------------------------


def test_a_pool_is_read_back_as_it_was_saved(tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    targets = (target_of("a/one", region="eu"), target_of("b/two", kind=ProviderKind.LITELLM, base_url=None))
    pool = Pool(targets, {"fast": ("one", "b/two")}, is_replay=True, table=tmp_path / "t.parquet", version=7)

    pool.save(tmp_path)

    assert load_pool(tmp_path) == pool
    assert load_pool(tmp_path).models == ("one", "two")
    assert isinstance(load_pool(tmp_path).targets[0].price, TokenPrice)


def test_a_pool_that_is_not_there_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected it after `evolving-ai up`"):
        load_pool(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda _document: None,
        lambda _document: [],
        lambda _document: "pool",
        lambda document: {**document, "targets": 5},
        lambda document: {**document, "targets": [{"provider": "a"}]},
        lambda document: {**document, "targets": [{**document["targets"][0], "kind": "pigeon"}]},
        lambda document: {**document, "targets": [{**document["targets"][0], "price": None}]},
        lambda document: {**document, "targets": [{**document["targets"][0], "colour": "red"}]},
        lambda document: {**document, "aliases": ["fast"]},
        lambda document: {**document, "version": "new"},
        lambda document: {key: value for key, value in document.items() if key != "aliases"},
    ],
)
def test_a_damaged_pool_is_called_so(tmp_path: Path, change: Any) -> None:
    (tmp_path / "live").mkdir()
    document = Pool((target_of("a/one"),), {}).to_json()
    pool_path(tmp_path).write_text(json.dumps(change(document)))

    with pytest.raises(CorruptionError, match="is damaged"):
        load_pool(tmp_path)


def test_half_a_pool_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    Pool((target_of("a/one"),), {}).save(tmp_path)
    pool_path(tmp_path).write_bytes(pool_path(tmp_path).read_bytes()[:50])

    with pytest.raises(CorruptionError):
        load_pool(tmp_path)
