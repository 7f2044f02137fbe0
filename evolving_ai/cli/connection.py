"""How a command finds the platform: what the caller said, else what `up` left in the home.

The token of the home is for the platform of that home alone: it is never sent to another address.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evolving_ai.errors import PlatformError, UsageError

__all__ = ["API_KEY_VARIABLE", "BASE_URL_VARIABLE", "Connection", "find_connection"]

API_KEY_VARIABLE = "EVOLVING_AI_API_KEY"
BASE_URL_VARIABLE = "EVOLVING_AI_BASE_URL"

_RUN_FILE = "run.json"
_TOKEN_FILE = "admin.token"  # noqa: S105 # nosec B105 - the name of a file


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the platform answers, and the key to show there. `url` has no slash at its end."""

    url: str
    api_key: str = field(repr=False)


def find_connection(home: Path, url: str | None = None, environment: Mapping[str, str] | None = None) -> Connection:
    """The platform at `url`, else at `$EVOLVING_AI_BASE_URL`, else the one that runs in `home`.

    The key is `$EVOLVING_AI_API_KEY`, else the home's `admin.token`. PlatformError when no platform runs in `home`,
    UsageError when a platform elsewhere is named without a key, or what is named is no address.
    """
    variables = os.environ if environment is None else environment
    running = _running_url(home)
    chosen = url or variables.get(BASE_URL_VARIABLE) or running
    if chosen is None:
        raise PlatformError("the platform is not running: start it with `evolving-ai up`")
    chosen = chosen.rstrip("/")
    if not chosen.startswith(("http://", "https://")):
        raise UsageError(f"{chosen!r} is no address: expected one such as http://127.0.0.1:8000")
    key = variables.get(API_KEY_VARIABLE)
    if not key:
        if chosen != running:
            raise UsageError(f"no key for {chosen}: set ${API_KEY_VARIABLE}; `evolving-ai keys create` makes one there")
        key = _token(home)
    return Connection(chosen, key)


def _running_url(home: Path) -> str | None:
    """What `up` wrote; None when nothing runs there."""
    path = home / _RUN_FILE
    try:
        record: Any = json.loads(path.read_text(encoding="utf-8"))
        return str(record["url"]).rstrip("/")
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise PlatformError(f"{path} cannot be read: {exc.strerror}") from exc
    except (ValueError, TypeError, KeyError) as exc:
        raise PlatformError(f"{path} does not say where the platform answers: `evolving-ai down`, then `up`") from exc


def _token(home: Path) -> str:
    path = home / _TOKEN_FILE
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise PlatformError(f"{path} cannot be read: set ${API_KEY_VARIABLE} to a key of the platform") from exc
    if not token:
        raise PlatformError(f"{path} is empty: set ${API_KEY_VARIABLE} to a key of the platform")
    return token
