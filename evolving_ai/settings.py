"""Settings: what a person may write into `config.yaml`, checked where it enters.

An unknown key or a wrong type is refused in one line that names the key, what was expected and, for a slip of the
finger, what was probably meant. The same reader serves every YAML file that a person writes.
"""

import difflib
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError

from evolving_ai.errors import DataError, SettingsError

__all__ = ["Settings", "load_settings", "read_yaml"]

_Model = TypeVar("_Model", bound=BaseModel)


class Settings(BaseModel):
    """`config.yaml`; every key may be left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Path | None = Field(
        default=None, description="The outcome table where a campaign names none; relative paths start at the home."
    )
    workers: StrictInt | None = Field(default=None, ge=1, description="Evaluations that run side by side.")


def load_settings(home: Path) -> Settings:
    """The settings of `home`; all defaults when it has no `config.yaml`."""
    path = home / "config.yaml"
    return read_yaml(path, Settings) if path.exists() else Settings()


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
