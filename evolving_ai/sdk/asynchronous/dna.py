"""`framework.dna`: what decides requests. A REF is a branch, a hash prefix, or one of them with `~n`."""

from evolving_ai.sdk.asynchronous.transport import AsyncTransport
from evolving_ai.sdk.evolution_calls import dna_history_call, dna_promote_call, dna_rollback_call, live_dna_call
from evolving_ai.sdk.results import LiveDna, LiveVersion

__all__ = ["Dna"]


class Dna:
    """Every call raises an ApiError when it fails; changes are for operators."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def live(self) -> LiveDna:
        """The DNA that decides requests now."""
        return await self._transport.send(live_dna_call())

    async def history(self) -> tuple[LiveVersion, ...]:
        """What was live, the newest first; the first is live now."""
        return await self._transport.send(dna_history_call())

    async def promote(self, ref: str, *, reason: str = "") -> LiveDna:
        """Make DNA live on every replica, within a second and without losing a request."""
        return await self._transport.send(dna_promote_call(ref, reason))

    async def rollback(self, *, reason: str = "") -> LiveDna:
        """Make live again what was live before."""
        return await self._transport.send(dna_rollback_call(reason))
