"""`framework.rollouts`: DNA goes live by a canary. A REF is a branch, a hash prefix, or one of them with `~n`."""

from collections.abc import Mapping
from typing import Any

from evolving_ai.sdk.asynchronous.transport import AsyncTransport
from evolving_ai.sdk.results import Rollout
from evolving_ai.sdk.rollout_calls import (
    approve_rollout_call,
    rollout_call,
    rollouts_call,
    start_rollout_call,
    stop_rollout_call,
)

__all__ = ["Rollouts"]


class Rollouts:
    """Every call raises an ApiError when it fails; changes are for operators."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def start(self, ref: str, *, plan: Mapping[str, Any] | None = None, reason: str = "") -> Rollout:
        """Begin to roll DNA out, and return while its gates are asked; one rollout at a time can be active.

        `plan` has the keys of a plan file; what it leaves out is as by default.
        """
        return await self._transport.send(start_rollout_call(ref, plan, reason))

    async def status(self, rollout_id: str) -> Rollout:
        """Where a rollout stands, with its whole evidence."""
        return await self._transport.send(rollout_call(rollout_id))

    async def list(self) -> tuple[Rollout, ...]:
        """All rollouts, the newest first, without their histories."""
        return await self._transport.send(rollouts_call())

    async def approve(self, rollout_id: str) -> Rollout:
        """Let a rollout go on to its canary; InvalidRequestError when it does not await approval."""
        return await self._transport.send(approve_rollout_call(rollout_id))

    async def stop(self, rollout_id: str, *, reason: str = "") -> Rollout:
        """End a rollout: the DNA that is live stays live. InvalidRequestError when it is over."""
        return await self._transport.send(stop_rollout_call(rollout_id, reason))
