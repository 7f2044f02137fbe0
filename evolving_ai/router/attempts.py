"""Attempts at one request: money is reserved before each is sent, and settled exactly once, however it ends.

The rule kept here: the worst case is reserved, what was used is settled, and where nobody counted, what may have been
used at most counts: no cap is ever exceeded.
"""

import asyncio
from dataclasses import dataclass

from evolving_ai._common.clock import Clock
from evolving_ai.domain.outcome import AttemptResult
from evolving_ai.domain.target import DeploymentTarget
from evolving_ai.errors import RequestError
from evolving_ai.router.breaker import Breakers
from evolving_ai.router.chat_request import worst_case_tokens
from evolving_ai.router.ports import ChatCall, Purse, StreamPart, Usage
from evolving_ai.router.run import Run

__all__ = ["Attempts", "OpenAttempt"]

_NO_USAGE = Usage(0, 0)
_BYTES_PER_TOKEN = 4
"""To estimate tokens that nobody counted: the usual rate of English text."""


@dataclass(slots=True)
class OpenAttempt:
    """An attempt in flight."""

    target: DeploymentTarget
    reservation: int
    started_s: float
    first_byte_s: float | None = None
    envelope_bytes: int = 0
    output_bytes: int = 0
    usage: Usage | None = None

    def hear(self, part: StreamPart) -> None:
        """Count what a stream brought, in case nobody else does."""
        if part.has_content:
            self.output_bytes += max(_BYTES_PER_TOKEN, len(part.data) - self.envelope_bytes)
        else:
            self.envelope_bytes = self.envelope_bytes or len(part.data)
        self.usage = part.usage or self.usage


class Attempts:
    """Begins and ends attempts, and tells the targets' breakers how they ended."""

    def __init__(self, purse: Purse, breakers: Breakers, clock: Clock) -> None:
        self._purse = purse
        self._breakers = breakers
        self._clock = clock

    async def begin(self, run: Run, target: DeploymentTarget) -> OpenAttempt:
        """Money for the worst case of one attempt; RequestError when there is none."""
        request = run.request
        amount = target.price.cost_nano_usd(*worst_case_tokens(request, target.max_output_tokens))
        # Taken before anything is awaited, or two requests would try a target that one of them should.
        self._breakers.take(target.name, self._clock.monotonic_s())
        reservation = self._purse.try_reserve(request.principal, amount)
        if reservation is None:
            try:
                reservation = await self._waited_for(run, target, amount)
            except TimeoutError as exc:
                raise RequestError("upstream_timeout", "the budget gave no answer before the deadline") from exc
        return OpenAttempt(target, reservation, self._clock.monotonic_s())

    async def _waited_for(self, run: Run, target: DeploymentTarget, amount_nano_usd: int) -> int:
        left_s = max(0.001, run.deadline_s - self._clock.monotonic_s())
        try:
            async with asyncio.timeout(left_s):
                return await self._purse.reserve(run.request.principal, amount_nano_usd)
        except BaseException:
            self._breakers.tell(target.name, AttemptResult.UNAVAILABLE, self._clock.monotonic_s())
            raise

    def call(self, run: Run, attempt: OpenAttempt) -> ChatCall:
        """What its provider is asked, within the time that is left."""
        left_s = max(0.001, run.deadline_s - attempt.started_s)
        return ChatCall(attempt.target, run.request.body, min(attempt.target.timeout_s, left_s))

    def end(self, run: Run, attempt: OpenAttempt, result: AttemptResult, status: int | None) -> None:
        """Settle an attempt, tell its breaker, and remember it."""
        target, now_s = attempt.target, self._clock.monotonic_s()
        usage = attempt.usage or self._estimated(run, attempt, result)
        cost = target.price.cost_nano_usd(usage.input_tokens, usage.output_tokens)
        self._purse.settle(attempt.reservation, run.request.principal, target.name, cost)
        allowed_s = run.deadline_s - attempt.started_s
        # A target that had less time than it may take did not fail: the caller's deadline came.
        is_cut_short = result is AttemptResult.TIMEOUT and allowed_s < _least_wait_s(run, attempt)
        self._breakers.tell(target.name, AttemptResult.CANCELLED if is_cut_short else result, now_s)
        run.note(
            target,
            result,
            started_s=attempt.started_s,
            now_s=now_s,
            status=status,
            usage=usage,
            cost_nano_usd=cost,
            first_byte_s=attempt.first_byte_s,
        )

    def _estimated(self, run: Run, attempt: OpenAttempt, result: AttemptResult) -> Usage:
        """What an attempt that nobody counted is taken to have used.

        A provider that answered with an error, or was never reached, bills nothing. One whose answer nobody waited
        for may have written it to its end: that counts as the worst case, as no cap may be exceeded. A stream that was
        cut off counts what had come: four bytes are one token, and never more than was reserved.
        """
        if not run.request.is_stream and result in (AttemptResult.TIMEOUT, AttemptResult.CANCELLED):
            return Usage(*worst_case_tokens(run.request, attempt.target.max_output_tokens))
        billed = result in (AttemptResult.OK, AttemptResult.TIMEOUT, AttemptResult.CANCELLED)
        if not billed and not attempt.output_bytes:
            return _NO_USAGE
        _, most = worst_case_tokens(run.request, attempt.target.max_output_tokens)
        written = -(-attempt.output_bytes // _BYTES_PER_TOKEN)
        return Usage(run.request.input_bytes // _BYTES_PER_TOKEN, min(written, most))


def _least_wait_s(run: Run, attempt: OpenAttempt) -> float:
    """How long a target is waited for before silence says something about it."""
    is_waiting_for_content = run.request.is_stream and attempt.first_byte_s is None
    return attempt.target.first_byte_timeout_s if is_waiting_for_content else attempt.target.timeout_s
