"""Settings: what a person may write into `config.yaml`, checked where it enters.

An unknown key or a wrong type is refused in one line that names the key, what was expected and, for a slip of the
finger, what was probably meant. The same reader serves every YAML file that a person writes.
"""

import difflib
import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, ValidationError, field_validator

from evolving_ai.errors import DataError, SettingsError

__all__ = [
    "AUTO",
    "CONFIG_VARIABLE",
    "LimitSettings",
    "PriceSettings",
    "ProviderSettings",
    "ReplaySettings",
    "Settings",
    "TargetSettings",
    "load_settings",
    "read_yaml",
]

_Model = TypeVar("_Model", bound=BaseModel)
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,79}$"
AUTO = "auto"
"""The model name that makes every target a candidate."""
CONFIG_VARIABLE = "EVOLVING_AI_CONFIG"
"""In the environment of the platform's processes: the configuration that `up` was given."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PriceSettings(_Section):
    """What a target charges, in dollars for a million tokens."""

    input_usd_per_million: Decimal = Field(ge=0)
    output_usd_per_million: Decimal = Field(ge=0)


class ProviderSettings(_Section):
    """A company or server that answers. `api_key_env` is the name of the variable that holds the key, never the key."""

    kind: Literal["openai", "litellm"] = "openai"
    base_url: str | None = Field(default=None, pattern=r"^https?://", description="Ends before /chat/completions.")
    api_key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    litellm_provider: str | None = Field(default=None, description="For kind litellm, and to look prices up.")
    region: str | None = None
    timeout_s: float = Field(default=120.0, gt=0, le=3600)
    first_byte_timeout_s: float = Field(default=30.0, gt=0, le=3600)


class TargetSettings(_Section):
    """One model at one provider. The price is looked up in the catalogue unless it stands here."""

    provider: str
    model: str = Field(pattern=_NAME)
    upstream_model: str | None = None
    price: PriceSettings | None = None
    max_output_tokens: StrictInt | None = Field(default=None, ge=1)


class ReplaySettings(_Section):
    """Replay providers, which answer from a table of recorded outcomes where no provider is configured."""

    table: Path | None = None
    latency_scale: float = Field(default=1.0, ge=0, le=100)


class LimitSettings(_Section):
    """What a key may do unless it has limits of its own, and what one request may be."""

    max_body_bytes: StrictInt = Field(default=8 * 2**20, ge=1024)
    requests_per_minute: StrictInt | None = Field(default=None, ge=1)
    max_concurrent: StrictInt | None = Field(default=None, ge=1)
    max_attempts: StrictInt = Field(default=3, ge=1, le=10)
    deadline_s: float = Field(default=300.0, gt=0, le=3600)


class Settings(_Section):
    """`config.yaml`; every key may be left out."""

    data: Path | None = Field(
        default=None, description="The outcome table where a campaign names none; relative paths start at the home."
    )
    workers: StrictInt | None = Field(default=None, ge=1, description="Evaluations that run side by side.")
    profile: Literal["direct", "serve_ingress"] = "direct"
    bind: str = "127.0.0.1"
    port: StrictInt = Field(default=8000, ge=1, le=65535)
    dashboard: StrictBool = True
    providers: dict[str, ProviderSettings] = Field(default_factory=dict)
    targets: tuple[TargetSettings, ...] = ()
    aliases: dict[str, tuple[str, ...]] = Field(default_factory=dict, description="Names of targets or of models.")
    unpriced: Literal["refuse", "dearest"] = Field(
        default="refuse", description="A target without a price: refused, or charged like the dearest of the others."
    )
    replay: ReplaySettings = ReplaySettings()
    learning: StrictBool = Field(
        default=True, description="Whether the live policy learns from rated outcomes; false: it stays as fitted."
    )
    limits: LimitSettings = LimitSettings()
    record_content: tuple[str, ...] = Field(default=(), description="Tenants whose prompts and answers are stored.")

    @field_validator("aliases")
    @classmethod
    def _names_are_free(cls, aliases: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for name, members in aliases.items():
            if name == AUTO or "/" in name or not name:
                raise ValueError(f"an alias cannot be called {name!r}: expected a name without /, other than {AUTO}")
            if not members:
                raise ValueError(f"alias {name} is empty: expected names of targets or models")
        return aliases


def load_settings(home: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of `home`: `$EVOLVING_AI_CONFIG` (what `up --config` sets), else its `config.yaml`, else defaults.

    Relative paths in it start at the home.
    """
    chosen = (os.environ if environment is None else environment).get(CONFIG_VARIABLE)
    path = Path(chosen) if chosen else home / "config.yaml"
    if not chosen and not path.exists():
        return Settings()
    settings = read_yaml(path, Settings)
    table = settings.replay.table
    if table is None:
        return settings
    return settings.model_copy(update={"replay": settings.replay.model_copy(update={"table": home / table})})


def read_yaml(path: Path, model: type[_Model]) -> _Model:
    """The file as a `model` that forbids extra keys.

    DataError when it cannot be read, SettingsError when it is not YAML or not what the model expects.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise DataError(f"{path} cannot be read: {exc.strerror}") from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{path} is not YAML: {' '.join(str(exc).split())}") from exc
    try:
        return model.model_validate({} if document is None else document)
    except ValidationError as exc:
        raise SettingsError(f"{path}: {_explain(exc, model)}") from exc


def _explain(exc: ValidationError, model: type[BaseModel]) -> str:
    first, *others = exc.errors(include_url=False)
    more = f" (and {len(others)} more)" if others else ""
    location = first["loc"]
    key = ".".join(str(part) for part in location)
    if first["type"] == "extra_forbidden":
        return f"unknown key {key}{_suggest(str(location[-1]), _keys_at(model, location[:-1]))}{more}"
    if not key:
        return f"expected a mapping of keys to values, found {type(first['input']).__name__}{more}"
    if first["type"] == "missing":
        return f"the key {key} is missing{more}"
    return f"{key} cannot be {_shown(first['input'])}: {first['msg'].lower()}{more}"


def _suggest(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    if close:
        return f": did you mean {close[0]}?"
    return f": expected one of {', '.join(known)}" if known else ""


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys of the (nested) model at `location`; none where a union or a list hides which model it is."""
    current = model
    for part in location:
        field = current.model_fields.get(str(part))
        annotation = None if field is None else field.annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        current = annotation
    return [field.alias or name for name, field in current.model_fields.items()]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
