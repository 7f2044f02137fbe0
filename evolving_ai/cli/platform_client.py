"""What commands ask of a running platform: JSON over HTTP, with the key that is meant for it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from evolving_ai.cli.connection import find_connection
from evolving_ai.domain.problem import PROBLEMS
from evolving_ai.errors import PlatformError, RequestError

__all__ = ["PlatformClient"]

_TIMEOUT_S = 200.0  # promoting may fit a snapshot first
_CONNECT_TIMEOUT_S = 5.0


class PlatformClient:
    """Asks the platform that runs in a home, or the one that the environment names (see `cli.connection`).

    No redirect is followed, and no proxy is taken from the environment: the key goes where it is meant to go.
    """

    def __init__(self, home: Path) -> None:
        self._home = home

    def request(
        self,
        method: str,
        path: str,
        json: Mapping[str, Any] | None = None,
        *,
        params: Mapping[str, str | int] | None = None,
    ) -> dict[str, Any]:
        """The platform's answer, a JSON object. `path` begins with a slash.

        RequestError, in one line, when it refuses; PlatformError when it does not run, or does not answer in time.
        UsageError when the environment names a platform in a way that cannot be.
        """
        connection = find_connection(self._home)
        timeout = httpx.Timeout(_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S)
        headers = {"authorization": f"Bearer {connection.api_key}"}
        try:
            with httpx.Client(base_url=connection.url, headers=headers, timeout=timeout, trust_env=False) as client:
                answer = client.request(method, path, json=json, params=params)
        except httpx.ConnectError as exc:
            raise PlatformError(
                f"the platform is not running (nobody answers at {connection.url}): start it with `evolving-ai up`"
            ) from exc
        except httpx.TimeoutException as exc:
            raise PlatformError(f"the platform at {connection.url} does not answer in time: see its logs") from exc
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeEncodeError) as exc:
            raise PlatformError(f"the platform at {connection.url} cannot be asked: {exc}") from exc
        return _document(answer, connection.url)


def _document(answer: httpx.Response, url: str) -> dict[str, Any]:
    try:
        document = answer.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise PlatformError(
            f"what answers at {url} is not the platform (status {answer.status_code}, no JSON object): "
            "another program may have taken its port"
        )
    if answer.is_success:
        return document
    raise _refusal(answer.status_code, document.get("error"))


def _refusal(status: int, error: object) -> RequestError:
    facts = error if isinstance(error, dict) else {}
    code, hint = str(facts.get("code")), facts.get("hint")
    message = str(facts.get("message") or f"the platform refused with status {status}")
    text = f"{message} ({hint})" if hint else message
    return RequestError(code if code in PROBLEMS else "internal_error", text, hint=hint)
