"""The pool: every target that requests can go to, resolved once when the platform starts and kept beside the live DNA.

Sources, the first that says anything: `providers` and `targets` of the settings; provider keys in the environment;
replay providers over a table of recorded outcomes.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

from evolving_ai._common.files import write_atomically
from evolving_ai.domain.money import TokenPrice
from evolving_ai.domain.target import DeploymentTarget, ProviderKind
from evolving_ai.errors import CorruptionError, DataError, SettingsError
from evolving_ai.optimizer.prices import PriceCatalogue
from evolving_ai.settings import PriceSettings, ProviderSettings, Settings, TargetSettings

__all__ = ["Pool", "configured_targets", "load_pool", "pool_path", "providers_in_environment", "replay_targets"]

_DEFAULT_MAX_OUTPUT_TOKENS = 4096
_REPLAY = "replay"


@dataclass(frozen=True, slots=True)
class _KnownProvider:
    """A provider that needs nothing but its key."""

    name: str
    settings: ProviderSettings
    models: tuple[str, ...]


def _known_providers() -> Mapping[str, _KnownProvider]:
    """By the variable that holds the key."""

    def compatible(name: str, url: str, key: str, *models: str) -> _KnownProvider:
        settings = ProviderSettings(kind="openai", base_url=url, api_key_env=key, litellm_provider=name)
        return _KnownProvider(name, settings, models)

    def adapted(name: str, key: str, *models: str) -> _KnownProvider:
        return _KnownProvider(name, ProviderSettings(kind="litellm", api_key_env=key, litellm_provider=name), models)

    known = (
        compatible("openai", "https://api.openai.com/v1", "OPENAI_API_KEY", "gpt-4o-mini", "gpt-4o", "gpt-4.1-mini"),
        adapted("anthropic", "ANTHROPIC_API_KEY", "claude-haiku-4-5", "claude-sonnet-4-5"),
        adapted("gemini", "GEMINI_API_KEY", "gemini-2.5-flash-lite", "gemini-2.5-flash", "gemini-2.5-pro"),
        compatible("xai", "https://api.x.ai/v1", "XAI_API_KEY", "grok-4.3", "grok-4.5"),
        adapted("mistral", "MISTRAL_API_KEY", "mistral-small-latest", "mistral-large-latest"),
    )
    return MappingProxyType({str(provider.settings.api_key_env): provider for provider in known})


@dataclass(frozen=True, slots=True)
class Pool:
    """The targets and the aliases over them. `is_replay`: the answers are recorded ones.

    `table` names the outcomes that policies are fitted on (None: nothing is known but prices). `version` grows with
    every change.
    """

    targets: tuple[DeploymentTarget, ...]
    aliases: Mapping[str, tuple[str, ...]]
    is_replay: bool = False
    table: Path | None = None
    version: int = 1

    @property
    def models(self) -> tuple[str, ...]:
        """The models that policies decide about, sorted."""
        return tuple(sorted({target.model for target in self.targets}))

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        return {
            "targets": [asdict(target) for target in self.targets],
            "aliases": {name: list(members) for name, members in self.aliases.items()},
            "is_replay": self.is_replay,
            "table": None if self.table is None else str(self.table),
            "version": self.version,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Pool":
        """The pool; ValueError, KeyError or TypeError when the document is something else."""
        targets = tuple(
            DeploymentTarget(**{**fields, "kind": ProviderKind(fields["kind"]), "price": TokenPrice(**fields["price"])})
            for fields in document["targets"]
        )
        aliases = {name: tuple(members) for name, members in document["aliases"].items()}
        table = None if document["table"] is None else Path(document["table"])
        return cls(targets, aliases, bool(document["is_replay"]), table, int(document["version"]))

    def save(self, home: Path) -> None:
        """Keep it where the replicas find it."""
        write_atomically(pool_path(home), json.dumps(self.to_json(), indent=1).encode())


def pool_path(home: Path) -> Path:
    """Where the pool of an installation lies."""
    return home / "live" / "pool.json"


def load_pool(home: Path) -> Pool:
    """The pool as it was saved. DataError when there is none, CorruptionError when it cannot be read."""
    path = pool_path(home)
    try:
        return Pool.from_json(json.loads(path.read_bytes()))
    except FileNotFoundError as exc:
        raise DataError(f"{path} does not exist: expected it after `evolving-ai up`") from exc
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise CorruptionError(f"{path} is damaged: remove it and start the platform again") from exc


def providers_in_environment(environment: Mapping[str, str]) -> Settings:
    """Settings of the providers whose keys are in the environment; none when there are none."""
    found = [known for variable, known in _known_providers().items() if environment.get(variable)]
    return Settings(
        providers={known.name: known.settings for known in found},
        targets=tuple(TargetSettings(provider=known.name, model=model) for known in found for model in known.models),
    )


def configured_targets(settings: Settings, catalogue: PriceCatalogue) -> tuple[DeploymentTarget, ...]:
    """The targets of the settings, with prices. SettingsError for an unknown provider or a price that nobody knows."""
    found: list[DeploymentTarget] = []
    unpriced: list[DeploymentTarget] = []
    for target in settings.targets:
        provider = settings.providers.get(target.provider)
        if provider is None:
            known = ", ".join(settings.providers) or "none"
            raise SettingsError(f"target {target.model} names provider {target.provider}: expected one of {known}")
        resolved, is_priced = _resolved(target, provider, catalogue)
        (found if is_priced else unpriced).append(resolved)
    if not unpriced:
        return tuple(found)
    name = unpriced[0].name
    if settings.unpriced == "refuse":
        raise SettingsError(f"no price is known for {name}: give the target a price, or set unpriced: dearest")
    if not found:
        raise SettingsError(f"no price is known for {name} nor for any other target: give at least one a price")
    dearest = TokenPrice(max(t.price.input_pico_usd for t in found), max(t.price.output_pico_usd for t in found))
    return (*found, *(replace(target, price=dearest) for target in unpriced))


def _resolved(
    target: TargetSettings, provider: ProviderSettings, catalogue: PriceCatalogue
) -> tuple[DeploymentTarget, bool]:
    if provider.kind == "openai" and provider.base_url is None:
        raise SettingsError(
            f"provider {target.provider} has no base_url: expected one, ending before /chat/completions"
        )
    upstream = target.upstream_model or target.model
    priced_as = provider.litellm_provider or target.provider
    entry = catalogue.lookup(priced_as, upstream)
    price = _price(target.price) if target.price else None if entry is None else entry.price
    longest = target.max_output_tokens or (entry.max_output_tokens if entry else None) or _DEFAULT_MAX_OUTPUT_TOKENS
    is_adapted = provider.kind == "litellm"
    return (
        DeploymentTarget(
            provider=target.provider,
            model=target.model,
            upstream_model=f"{priced_as}/{upstream}" if is_adapted else upstream,
            kind=ProviderKind.LITELLM if is_adapted else ProviderKind.OPENAI,
            base_url=provider.base_url,
            api_key_env=provider.api_key_env,
            region=provider.region,
            price=price or TokenPrice(0, 0),
            max_output_tokens=longest,
            timeout_s=provider.timeout_s,
            first_byte_timeout_s=provider.first_byte_timeout_s,
        ),
        price is not None,
    )


def _price(settings: PriceSettings) -> TokenPrice:
    """Dollars for a million tokens are 10**6 pico-dollars a token."""

    def pico(usd_per_million: Decimal) -> int:
        return int((usd_per_million * 10**6).to_integral_value())

    return TokenPrice(pico(settings.input_usd_per_million), pico(settings.output_usd_per_million))


def replay_targets(
    base_urls: Mapping[str, str], prices: Mapping[str, TokenPrice], longest: Mapping[str, int]
) -> tuple[DeploymentTarget, ...]:
    """A target for each model of the replay providers."""
    return tuple(_replay_target(model, url, prices[model], longest[model]) for model, url in sorted(base_urls.items()))


def _replay_target(model: str, url: str, price: TokenPrice, longest: int) -> DeploymentTarget:
    return DeploymentTarget(
        provider=_REPLAY,
        model=model,
        upstream_model=model,
        kind=ProviderKind.REPLAY,
        base_url=url,
        api_key_env=None,
        region="local",
        price=price,
        max_output_tokens=max(longest, _DEFAULT_MAX_OUTPUT_TOKENS),
    )
