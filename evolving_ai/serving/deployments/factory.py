"""Builders by name: deployments are told what to build by an import path, so that a Serve configuration can."""

import importlib
from collections.abc import Callable
from typing import Any

from evolving_ai.errors import PlatformError

__all__ = ["load_factory"]


def load_factory(path: str) -> Callable[..., Any]:
    """The function or class at `module:name`. PlatformError when there is none."""
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as exc:
        raise PlatformError(f"there is no {path}: expected module:name of a builder ({exc})") from exc
    if not callable(found):
        raise PlatformError(f"{path} cannot be called: expected a builder")
    factory: Callable[..., Any] = found
    return factory
