"""How the SDK reaches the platform: what the caller said, else the environment, else the default of `up`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from evolving_ai._version import __version__
from evolving_ai.errors import UsageError

__all__ = ["API_KEY_VARIABLE", "BASE_URL_VARIABLE", "DEFAULT_BASE_URL", "ClientOptions"]

API_KEY_VARIABLE = "EVOLVING_AI_API_KEY"
BASE_URL_VARIABLE = "EVOLVING_AI_BASE_URL"
DEFAULT_BASE_URL = "http://127.0.0.1:8000"

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """Where the platform is and how patient the client is.

    `timeout_s` is how long nothing may come: until an answer begins, and between its parts. `max_retries` bounds how
    often a call is made again (see `sdk.retries`). UsageError for a value that cannot be.
    """

    api_key: str | None = field(default=None, repr=False)
    base_url: str = DEFAULT_BASE_URL
    region: str | None = None
    timeout_s: float = 600.0
    connect_timeout_s: float = 5.0
    max_retries: int = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_url", self.base_url.rstrip("/"))
        _check_address(self.base_url)
        for name, value in (("api_key", self.api_key), ("region", self.region)):
            if value is not None and not (value.isascii() and value.isprintable() and value.strip() == value != ""):
                raise UsageError(f"{name} cannot be sent: expected printable ASCII without blanks around it")
        if not (0 < self.timeout_s < float("inf") and 0 < self.connect_timeout_s < float("inf")):
            raise UsageError("timeout_s and connect_timeout_s: expected more than 0 seconds")
        if self.max_retries < 0:
            raise UsageError(f"max_retries cannot be {self.max_retries}: expected 0 or more")

    @classmethod
    def resolve(
        cls,
        api_key: str | None,
        base_url: str | None,
        region: str | None,
        *,
        timeout_s: float,
        connect_timeout_s: float,
        max_retries: int,
        environment: Mapping[str, str] | None = None,
    ) -> "ClientOptions":
        """Options with what the caller left out taken from `$EVOLVING_AI_API_KEY` and `$EVOLVING_AI_BASE_URL`."""
        variables = os.environ if environment is None else environment
        return cls(
            api_key=api_key or variables.get(API_KEY_VARIABLE) or None,
            base_url=base_url or variables.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL,
            region=region,
            timeout_s=timeout_s,
            connect_timeout_s=connect_timeout_s,
            max_retries=max_retries,
        )

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        headers = {"user-agent": f"evolving-ai-sdk/{__version__}", "accept": "application/json"}
        if self.api_key is not None:
            headers["authorization"] = f"Bearer {self.api_key}"
        if self.region is not None:
            headers["x-evolving-region"] = self.region
        return headers

    @property
    def is_loopback(self) -> bool:
        """Whether the platform is on this machine: then no proxy of the environment is asked."""
        return urlsplit(self.base_url).hostname in _LOOPBACK


def _check_address(text: str) -> None:
    expected = f"expected the address of a gateway, such as {DEFAULT_BASE_URL}"
    try:
        parts = urlsplit(text)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as exc:
        raise UsageError(f"base_url {text[:200]!r} is no address: {expected}") from exc
    if parts.username is not None or parts.password is not None:
        raise UsageError(f"base_url has a user or a password in it: {expected}, and the key as api_key")
    if not is_address or parts.query or parts.fragment:
        raise UsageError(f"base_url {text[:200]!r} is no address: {expected}")
    if parts.path.endswith("/v1"):
        raise UsageError(f"base_url {text[:200]!r} ends with /v1, which is for OpenAI's clients: {expected}")
