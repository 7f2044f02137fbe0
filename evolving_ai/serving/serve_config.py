"""Serve configuration files, read strictly: Serve itself ignores keys that it does not know.

The home's settings, not the file, say which profile, address and port it is deployed with.
"""

import difflib
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from ray.serve.schema import ServeDeploySchema

from evolving_ai.errors import DataError, SettingsError

__all__ = ["read_serve_config", "unknown_keys"]


def read_serve_config(path: Path) -> Any:
    """The file as Serve's ServeDeploySchema. DataError or SettingsError, in one line, when it is something else."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise DataError(f"{path} cannot be read: {exc.strerror}") from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{path} is not YAML: {' '.join(str(exc).split())}") from exc
    for key in unknown_keys(document, ServeDeploySchema):
        raise SettingsError(f"{path}: {key}")
    try:
        return ServeDeploySchema.model_validate(document)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"{path}: {where or 'the file'}: {' '.join(first['msg'].split())}") from exc


def unknown_keys(document: Any, model: type[BaseModel], where: str = "") -> Iterator[str]:
    """A line for each key of `document` that neither `model` nor a model inside it has. Free mappings are let be."""
    if not isinstance(document, Mapping):
        return
    known = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
    for key, value in document.items():
        place = f"{where}.{key}" if where else str(key)
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            yield f"unknown key {place}" + (f": did you mean {close[0]}?" if close else "")
            continue
        inner = next(_models_in(known[key]), None)
        if inner is None:
            continue
        for position, item in enumerate(value if isinstance(value, list) else [value]):
            inside = f"{place}[{position}]" if isinstance(value, list) else place
            yield from unknown_keys(item, inner, inside)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    arguments = typing.get_args(annotation)
    for argument in arguments:
        yield from _models_in(argument)
    if not arguments and isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
