"""What a caller is told when no target answered."""

from collections.abc import Sequence

from evolving_ai.domain.outcome import Attempt, AttemptResult
from evolving_ai.errors import RequestError, UpstreamError

__all__ = ["explained_failure", "refusal_status"]

_DEFAULT_WAIT_S = 1.0


def refusal_status(refusal: UpstreamError) -> int:
    """The status with which a provider's refusal of the request reaches the caller: the provider's own, if it is one.

    400 where there is none, or none of a caller's mistake.
    """
    status = refusal.status
    return status if status is not None and 400 <= status < 500 else 400


def explained_failure(attempts: Sequence[Attempt], last: UpstreamError | None) -> RequestError:
    """The error after `attempts`, which all failed; `last` is how the last one did."""
    if not attempts or last is None:
        return RequestError("upstream_timeout", "no target could be tried before the deadline")
    results = {attempt.result for attempt in attempts}
    story = "; ".join(f"{attempt.target}: {attempt.result}" for attempt in attempts)
    if results == {AttemptResult.RATE_LIMITED}:
        wait_s = last.retry_after_s or _DEFAULT_WAIT_S
        return RequestError("rate_limit_exceeded", f"every target is rate limited ({story})", retry_after_s=wait_s)
    if results == {AttemptResult.TIMEOUT}:
        return RequestError("upstream_timeout", f"no target answered in time ({story})")
    if results == {AttemptResult.CREDENTIALS}:
        return RequestError(
            "provider_refused",
            f"the provider refused the gateway's key ({story})",
            hint="an operator has to check the variable that the provider's api_key_env names",
        )
    return RequestError("all_targets_failed", f"no target answered ({story}); the last said: {last}")
