"""The price catalogue: the one that ships, and what is refused."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from evolving_ai._common.clock import ManualClock
from evolving_ai.domain.money import TokenPrice
from evolving_ai.errors import CorruptionError, SettingsError
from evolving_ai.optimizer.prices import CatalogueEntry, PriceCatalogue, catalogue_path, entries_hash
from evolving_ai.optimizer.seed_prices import catalogue_document, main

MAX_BYTES = 1_000_000
SOURCE: dict[str, Any] = {
    "small": {
        "mode": "chat",
        "litellm_provider": "openai",
        "input_cost_per_token": 1.5e-07,
        "output_cost_per_token": 6e-07,
        "cache_read_input_token_cost": 7.5e-08,
        "max_output_tokens": 16384,
        "max_input_tokens": 128000,
    },
    "xai/large": {
        "mode": "chat",
        "litellm_provider": "xai",
        "input_cost_per_token": 1.0000000001e-06,
        "output_cost_per_token": 2,
        "max_tokens": 7,
    },
    "vertex_ai/mistral": {
        "mode": "chat",
        "litellm_provider": "vertex_ai-mistral_models",
        "input_cost_per_token": 1e-06,
        "output_cost_per_token": 1e-06,
    },
    "twice": {
        "mode": "chat",
        "litellm_provider": "bedrock",
        "input_cost_per_token": 1e-06,
        "output_cost_per_token": 1e-06,
    },
    "bedrock_converse/twice": {
        "mode": "chat",
        "litellm_provider": "bedrock_converse",
        "input_cost_per_token": 3e-06,
        "output_cost_per_token": 2e-06,
    },
    "free": {"mode": "chat", "litellm_provider": "x", "input_cost_per_token": 0.0, "output_cost_per_token": 0.0},
    "half": {"mode": "chat", "litellm_provider": "x", "input_cost_per_token": 1e-06},
    "embed": {"mode": "embedding", "litellm_provider": "x", "input_cost_per_token": 1, "output_cost_per_token": 1},
}


@pytest.fixture
def catalogue(tmp_path: Path) -> Callable[..., Path]:
    def write(**changes: Any) -> Path:
        document = catalogue_document(json.dumps(SOURCE).encode(), "1.2.3", date(2026, 1, 1)) | changes
        path = tmp_path / "catalogue.json"
        path.write_text(json.dumps(document))
        return path

    return write


def test_the_catalogue_that_ships_is_dated_valid_and_small() -> None:
    shipped = PriceCatalogue()

    assert shipped.as_of >= date(2026, 1, 1)
    assert catalogue_path().stat().st_size < MAX_BYTES
    entry = shipped.lookup("openai", "gpt-4o-mini")
    assert entry is not None
    assert entry.price.cost_nano_usd(1_000_000, 1_000_000) == 750_000_000
    assert entry.max_output_tokens == 16384


def test_prices_are_taken_over_to_the_pico_dollar_and_rounded_up(catalogue: Callable[..., Path]) -> None:
    prices = PriceCatalogue(catalogue())

    assert prices.lookup("openai", "small") == CatalogueEntry(TokenPrice(150_000, 600_000), 75_000, 16384, 128000)
    assert prices.lookup("xai", "large") == CatalogueEntry(TokenPrice(1_000_001, 2 * 10**12))
    assert prices.lookup("vertex_ai", "mistral") == CatalogueEntry(TokenPrice(10**6, 10**6))


def test_the_dearest_of_several_prices_stands(catalogue: Callable[..., Path]) -> None:
    assert PriceCatalogue(catalogue()).lookup("bedrock", "twice") == CatalogueEntry(TokenPrice(3 * 10**6, 2 * 10**6))


@pytest.mark.parametrize("name", [("x", "free"), ("x", "half"), ("x", "embed"), ("openai", "none"), ("nobody", "m")])
def test_a_price_that_nobody_knows_is_none_and_never_zero(
    catalogue: Callable[..., Path], name: tuple[str, str]
) -> None:
    prices = PriceCatalogue(catalogue())

    assert prices.lookup(*name) is None
    with pytest.raises(SettingsError, match=r"2026-01-01.*give the target a price, or set unpriced"):
        prices.require(*name)


def test_a_slip_of_the_finger_is_recognised(catalogue: Callable[..., Path]) -> None:
    with pytest.raises(SettingsError, match=r"openai/smal .*did you mean small\?"):
        PriceCatalogue(catalogue()).require("openai", "smal")


def test_overrides_go_before_the_catalogue(catalogue: Callable[..., Path]) -> None:
    own = CatalogueEntry(TokenPrice(1, 2))
    prices = PriceCatalogue(catalogue(), {("openai", "small"): own, ("mine", "own"): own})

    assert prices.lookup("openai", "small") == own
    assert prices.require("mine", "own") == own


def test_nothing_is_read_before_the_first_look_up(tmp_path: Path) -> None:
    missing = PriceCatalogue(tmp_path / "none.json")

    with pytest.raises(CorruptionError, match="no valid price catalogue"):
        missing.lookup("a", "b")


@pytest.mark.parametrize(
    "entries",
    [
        {"p": {"m": [1, 2, None, None]}},
        {"p": {"m": [1, None, None, None, None]}},
        {"p": {"m": [0, 1, None, None, None]}},
        {"p": {"m": [1, 1, -1, None, None]}},
        {"p": {"m": [1.5, 1, None, None, None]}},
        {"p": {"m": [True, 1, None, None, None]}},
        {"p": {"m": "free"}},
        {"p": [1]},
        [1],
    ],
)
def test_entries_that_cannot_be_are_refused(catalogue: Callable[..., Path], entries: Any) -> None:
    path = catalogue(entries=entries, sha256=entries_hash(entries))

    with pytest.raises(CorruptionError, match="no valid price catalogue"):
        PriceCatalogue(path).lookup("p", "m")


@pytest.mark.parametrize("change", [{"sha256": "0" * 64}, {"as_of": "soon"}, {"as_of": None}])
def test_a_catalogue_with_another_hash_or_no_date_is_refused(
    catalogue: Callable[..., Path], change: dict[str, Any]
) -> None:
    with pytest.raises(CorruptionError, match="no valid price catalogue"):
        PriceCatalogue(catalogue(**change)).lookup("openai", "small")


def test_the_script_writes_a_catalogue_that_is_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "source.json", tmp_path / "out.json"
    source.write_text(json.dumps(SOURCE))

    main(["--source", str(source), "--version", "9", "--out", str(out)], ManualClock())

    assert capsys.readouterr().out.endswith("4 models of 4 providers, as of 2026-01-01\n")
    assert PriceCatalogue(out).require("openai", "small").price == TokenPrice(150_000, 600_000)
    assert json.loads(out.read_text())["source"]["version"] == "9"


def test_a_file_without_prices_is_no_source() -> None:
    with pytest.raises(ValueError, match="no chat model with a price"):
        catalogue_document(b'{"embed": {"mode": "embedding"}}', "1", date(2026, 1, 1))
