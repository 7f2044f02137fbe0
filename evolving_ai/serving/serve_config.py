"""Serve configuration files, read strictly: Serve itself ignores keys that it does not know.

The home's settings, not the file, say which profile, address and port it is deployed with.
"""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from ray.serve.schema import ServeDeploySchema

from evolving_ai.errors import DataError, SettingsError
from evolving_ai.serving.strict_keys import unknown_keys

__all__ = ["read_serve_config"]


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
