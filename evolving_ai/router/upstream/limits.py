"""What an answer of a provider may take, whichever client reads it."""

from dataclasses import dataclass

from evolving_ai.domain.outcome import AttemptResult
from evolving_ai.errors import UpstreamError

__all__ = ["DEFAULT_LIMITS", "UpstreamLimits"]

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class UpstreamLimits:
    """`max_body_bytes` counts what comes out of decompression, of a whole answer and of a stream.

    `connect_timeout_s` is for DNS, TCP and TLS together. `silence_s` is how long a connection that nobody waits for any
    more may stay silent before it is closed.
    """

    max_body_bytes: int = 64 * _MIB
    connect_timeout_s: float = 10.0
    silence_s: float = 300.0

    def check(self, size_bytes: int) -> None:
        """UpstreamError `malformed` when an answer has grown beyond the limit."""
        if size_bytes > self.max_body_bytes:
            raise UpstreamError(
                AttemptResult.MALFORMED,
                f"the answer is larger than {self.max_body_bytes} bytes: no chat completion is, check the provider",
            )


DEFAULT_LIMITS = UpstreamLimits()
