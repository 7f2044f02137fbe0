"""Makes the price catalogue of the release from the price data inside the installed litellm package.

    python -m evolving_ai.optimizer.seed_prices [--out FILE] [--source FILE --version TEXT]

It reads one JSON file of that package; it imports nothing of litellm and asks no network. Taken over are chat models
with a price for what they read and for what they write; a price of 0 there mostly means that nobody filled it in, so
such a model is left out, and is unpriced here. Where one name has several prices, the dearest stands.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from datetime import date
from decimal import ROUND_CEILING, Decimal
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from evolving_ai._common.canonical import sha256_hex
from evolving_ai._common.clock import Clock, SystemClock
from evolving_ai._common.files import write_atomically
from evolving_ai.domain.money import PICO_PER_USD
from evolving_ai.optimizer.prices import catalogue_path, entries_hash

__all__ = ["catalogue_document", "main"]

_SOURCE = "litellm/model_prices_and_context_window_backup.json"
_SAME_PROVIDER = {"bedrock_converse": "bedrock"}
_Row = list[int | None]


def catalogue_document(source: bytes, version: str, as_of: date) -> dict[str, Any]:
    """The catalogue as JSON, made of litellm's file. ValueError when that is not what was expected."""
    models = json.loads(source, parse_float=Decimal)
    entries: dict[str, dict[str, _Row]] = {}
    for name, facts in models.items():
        row = _row(facts) if facts.get("mode") == "chat" else None
        if row is None:
            continue
        provider = _provider(facts["litellm_provider"])
        of_provider = entries.setdefault(provider, {})
        model = name.removeprefix(f"{provider}/").removeprefix(f"{facts['litellm_provider']}/")
        of_provider[model] = _dearer(of_provider.get(model), row)
    if not entries:
        raise ValueError("no chat model with a price was found: expected litellm's price data")
    return {
        "as_of": as_of.isoformat(),
        "source": {"package": "litellm", "version": version, "file": _SOURCE, "sha256": sha256_hex(source)},
        "unit": "pico-dollars for each token read, written, read from a cache; output tokens; context tokens",
        "sha256": entries_hash(entries),
        "entries": entries,
    }


def _row(facts: Mapping[str, Any]) -> _Row | None:
    read, write = _pico(facts.get("input_cost_per_token")), _pico(facts.get("output_cost_per_token"))
    if not read or not write:
        return None
    cached = _pico(facts.get("cache_read_input_token_cost"))
    return [read, write, cached, _tokens(facts.get("max_output_tokens")), _tokens(facts.get("max_input_tokens"))]


def _pico(usd: Any) -> int | None:
    """Rounded up: rather a trillionth too dear than too cheap."""
    if not isinstance(usd, int | Decimal) or usd < 0:
        return None
    return int((Decimal(usd) * PICO_PER_USD).to_integral_value(ROUND_CEILING))


def _tokens(count: Any) -> int | None:
    return int(count) if isinstance(count, int | Decimal) and count > 0 else None


def _provider(name: str) -> str:
    """`vertex_ai-mistral_models` is how litellm files Mistral's models at vertex_ai."""
    return _SAME_PROVIDER.get(name, "vertex_ai" if name.startswith("vertex_ai-") else name)


def _dearer(one: _Row | None, other: _Row) -> _Row:
    return other if one is None else max(one, other, key=lambda row: (row[1] or 0, row[0] or 0))


def _text(document: Mapping[str, Any]) -> str:
    """JSON with a line for each model, so that the difference between two catalogues can be read."""
    head = {key: value for key, value in document.items() if key != "entries"}
    lines = []
    for provider, models in sorted(document["entries"].items()):
        rows = ",\n".join(f"{json.dumps(name)}:{json.dumps(row)}" for name, row in sorted(models.items()))
        lines.append(f"{json.dumps(provider)}:{{\n{rows}\n}}")
    return json.dumps(head, indent=0)[:-2] + ',\n"entries":{\n' + ",\n".join(lines) + "\n}\n}\n"


def main(arguments: list[str] | None = None, clock: Clock | None = None) -> int:
    """Write the catalogue and say what is in it; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m evolving_ai.optimizer.seed_prices")
    parser.add_argument("--out", type=Path, default=catalogue_path())
    parser.add_argument("--source", type=Path, help="litellm's price file (default: that of the installed package)")
    parser.add_argument("--version", help="the version of litellm that --source is from")
    chosen = parser.parse_args(arguments)
    package = distribution("litellm")
    source = chosen.source or Path(str(package.locate_file(_SOURCE)))
    today = (clock or SystemClock()).now().date()
    document = catalogue_document(source.read_bytes(), chosen.version or package.version, today)
    write_atomically(chosen.out, _text(document).encode())
    count = sum(map(len, document["entries"].values()))
    sys.stdout.write(f"{chosen.out}: {count} models of {len(document['entries'])} providers, as of {today}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
