"""`framework.system`: how the platform is."""

from collections.abc import Mapping, Sequence

from evolving_ai.sdk.results import Config, Health, Metrics
from evolving_ai.sdk.synchronous.transport import SyncTransport
from evolving_ai.sdk.system_calls import config_call, health_call, metrics_call

__all__ = ["System"]


class System:
    """Every call raises an ApiError when it fails."""

    def __init__(self, transport: SyncTransport) -> None:
        self._transport = transport

    def health(self) -> Health:
        """How the platform is; needs no key."""
        return self._transport.send(health_call())

    def metrics(self) -> Metrics:
        """Counts of requests and outcomes."""
        return self._transport.send(metrics_call())

    def config(self, *, aliases: Mapping[str, Sequence[str]] | None = None) -> Config:
        """The configuration in force. `aliases` replaces all aliases (administrators only), on every replica."""
        return self._transport.send(config_call(aliases))
