"""What models cost: a dated catalogue that ships with the program, by litellm's names of provider and model.

The rules kept here: a price that nobody knows is None or an error, never 0; the catalogue is checked before it is
believed; importing reads nothing. Prices are the provider's list prices for plain text; surcharges (long contexts,
priority, cache writes) and discounts (batches) are not in it. `optimizer.seed_prices` makes the file.
"""

import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from evolving_ai.domain.money import TokenPrice
from evolving_ai.errors import CorruptionError, SettingsError

__all__ = ["CatalogueEntry", "PriceCatalogue", "catalogue_path", "entries_hash"]


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """What is known of a model. None: nobody says."""

    price: TokenPrice
    cache_read_pico_usd: int | None = None
    max_output_tokens: int | None = None
    context_tokens: int | None = None


class _Row(NamedTuple):
    """How an entry lies in the file."""

    input_pico_usd: int
    output_pico_usd: int
    cache_read_pico_usd: int | None
    max_output_tokens: int | None
    context_tokens: int | None


@dataclass(frozen=True, slots=True)
class _Content:
    as_of: date
    entries: Mapping[str, Mapping[str, Any]]


class PriceCatalogue:
    """Prices by litellm's provider and the model's name there. The file is read and checked at the first look-up.

    `path`: None is the catalogue of this release. `overrides`, by provider and model, go before what stands there.
    """

    def __init__(
        self, path: Path | None = None, overrides: Mapping[tuple[str, str], CatalogueEntry] | None = None
    ) -> None:
        self._path = path or catalogue_path()
        self._overrides = overrides or {}
        self._content: _Content | None = None

    @property
    def as_of(self) -> date:
        """The day that the prices were taken over."""
        return self._read().as_of

    def lookup(self, provider: str, model: str) -> CatalogueEntry | None:
        """What is known of the model; None when nothing is.

        CorruptionError when the catalogue is damaged.
        """
        own = self._overrides.get((provider, model))
        if own is not None:
            return own
        stored = self._read().entries.get(provider, {}).get(model)
        if stored is None:
            return None
        row = _Row(*stored)
        price = TokenPrice(row.input_pico_usd, row.output_pico_usd)
        return CatalogueEntry(price, row.cache_read_pico_usd, row.max_output_tokens, row.context_tokens)

    def require(self, provider: str, model: str) -> CatalogueEntry:
        """The same; SettingsError, with what may have been meant, when nobody knows a price."""
        entry = self.lookup(provider, model)
        if entry is not None:
            return entry
        known = self._read().entries
        if provider not in known:
            close = difflib.get_close_matches(provider, known, n=1)
            what = f"provider {provider} is not in the price catalogue of {self.as_of}"
        else:
            close = difflib.get_close_matches(model, known[provider], n=1)
            what = f"no price is known for {provider}/{model} in the catalogue of {self.as_of}"
        meant = f" (did you mean {close[0]}?)" if close else ""
        raise SettingsError(f"{what}{meant}: give the target a price, or set unpriced: dearest")

    def _read(self) -> _Content:
        if self._content is None:
            self._content = _checked(self._path)
        return self._content


def catalogue_path() -> Path:
    """Where the catalogue of this release lies."""
    return Path(__file__).with_name("price_catalogue.json")


def entries_hash(entries: Mapping[str, Any]) -> str:
    """SHA-256 of the entries as sorted, compact JSON."""
    return hashlib.sha256(json.dumps(entries, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _checked(path: Path) -> _Content:
    try:
        document = json.loads(path.read_bytes())
        as_of = date.fromisoformat(document["as_of"])
        entries: Mapping[str, Mapping[str, Any]] = document["entries"]
        _check_entries(entries, document["sha256"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise CorruptionError(f"{path} is no valid price catalogue ({exc}): reinstall evolving-ai") from exc
    return _Content(as_of, entries)


def _check_entries(entries: Mapping[str, Mapping[str, Any]], expected_hash: str) -> None:
    if entries_hash(entries) != expected_hash:
        raise ValueError("its entries do not have the hash that it states")
    for models in entries.values():
        for model, row in models.items():
            _check_row(model, row)


def _check_row(model: str, row: Any) -> None:
    is_row = isinstance(row, list) and len(row) == len(_Row._fields) and None not in row[:2]
    if not is_row or any(type(value) not in (int, type(None)) for value in row):
        raise ValueError(f"{model}: expected {len(_Row._fields)} integers, found {str(row)[:60]}")
    if min(row[:2]) <= 0 or any(value is not None and value < 0 for value in row[2:]):
        raise ValueError(f"{model}: expected prices above 0 and no negative number, found {row}")
