"""`framework.dna`: what decides requests. A REF is a branch, a hash prefix, or one of them with `~n`."""

from evolving_ai.sdk.evolution_calls import dna_history_call, dna_promote_call, dna_rollback_call, live_dna_call
from evolving_ai.sdk.results import LiveDna, LiveVersion
from evolving_ai.sdk.synchronous.transport import SyncTransport

__all__ = ["Dna"]


class Dna:
    """Every call raises an ApiError when it fails; changes are for operators."""

    def __init__(self, transport: SyncTransport) -> None:
        self._transport = transport

    def live(self) -> LiveDna:
        """The DNA that decides requests now."""
        return self._transport.send(live_dna_call())

    def history(self) -> tuple[LiveVersion, ...]:
        """What was live, the newest first; the first is live now."""
        return self._transport.send(dna_history_call())

    def promote(self, ref: str, *, reason: str = "") -> LiveDna:
        """Make DNA live on every replica, within a second and without losing a request."""
        return self._transport.send(dna_promote_call(ref, reason))

    def rollback(self, *, reason: str = "") -> LiveDna:
        """Make live again what was live before."""
        return self._transport.send(dna_rollback_call(reason))
