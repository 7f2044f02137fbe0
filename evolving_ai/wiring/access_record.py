"""Which keys are valid, and who has a budget, as replicas need it. One file, exchanged as a whole.

It is the snapshot of `security.api_keys.KeyService` with `budget_scopes`, the scopes that have a budget: a replica that
starts with control away serves those without one, and refuses those whose money it cannot lease.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evolving_ai._common.files import write_atomically
from evolving_ai.errors import CorruptionError, DataError

__all__ = ["load_access", "save_access"]

_FIELDS = frozenset({"version", "keys", "budget_scopes"})


def _path(home: Path) -> Path:
    return home / "live" / "access.json"


def load_access(home: Path) -> dict[str, Any]:
    """What `save_access` kept. DataError when there is nothing, CorruptionError when it cannot be read."""
    try:
        document = json.loads(_path(home).read_bytes())
    except FileNotFoundError as exc:
        raise DataError(f"{_path(home)} does not exist: expected it after `evolving-ai up`") from exc
    except ValueError as exc:
        raise CorruptionError(f"{_path(home)} is damaged: remove it and start the platform again") from exc
    if not isinstance(document, dict) or not document.keys() >= _FIELDS:
        raise CorruptionError(f"{_path(home)} is damaged: remove it and start the platform again")
    return document


def save_access(home: Path, access: Mapping[str, Any]) -> None:
    """Keep it where replicas that start find it; it holds no secrets, but hashes of them."""
    write_atomically(_path(home), json.dumps(access, indent=1).encode())
