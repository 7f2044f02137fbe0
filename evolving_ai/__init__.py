"""An LLM gateway that improves itself, on Ray.

Importing the package is cheap on purpose: it loads no third-party package and starts nothing. `EvolutionFramework` and
`SyncEvolutionFramework` are loaded when they are first asked for (`__init__.pyi` tells type checkers of them).
"""

import importlib
from typing import Any

from evolving_ai._version import __version__

__all__ = ["__version__"]

_FROM_SDK = ("EvolutionFramework", "SyncEvolutionFramework")


def __getattr__(name: str) -> Any:
    """What the SDK exports here, loaded now."""
    if name in _FROM_SDK:
        return getattr(importlib.import_module("evolving_ai.sdk"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_FROM_SDK])
