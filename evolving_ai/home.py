"""The home: the one directory that holds an installation's state."""

import os
from collections.abc import Mapping
from pathlib import Path

from evolving_ai.errors import StorageError

__all__ = ["HOME_VARIABLE", "open_home", "resolve_home"]

HOME_VARIABLE = "EVOLVING_AI_HOME"


def resolve_home(option: Path | None, environment: Mapping[str, str] | None = None) -> Path:
    """`option` (`--home`), else `$EVOLVING_AI_HOME`, else `~/.evolving-ai`; absolute, not created."""
    variables = os.environ if environment is None else environment
    chosen = option or Path(variables.get(HOME_VARIABLE) or "~/.evolving-ai")
    try:
        return chosen.expanduser().absolute()
    except RuntimeError as exc:
        raise StorageError(f"{chosen}: nobody's home directory is known; set --home or ${HOME_VARIABLE}") from exc


def open_home(option: Path | None, environment: Mapping[str, str] | None = None) -> Path:
    """The home, created for its owner alone (mode 0700) when absent; one that exists keeps its mode."""
    home = resolve_home(option, environment)
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        reason = "it is a file" if home.is_file() else exc.strerror
        raise StorageError(f"{home} cannot be the home directory: {reason}; choose another with --home") from exc
    return home
