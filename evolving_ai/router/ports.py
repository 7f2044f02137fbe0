"""What the request path needs from others; wiring hands it in."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from evolving_ai.domain.decision import Constraints, Decision
from evolving_ai.domain.identity import Principal
from evolving_ai.domain.outcome import Outcome
from evolving_ai.domain.target import DeploymentTarget

__all__ = [
    "ChatCall",
    "Completion",
    "DecidedPolicy",
    "Experiment",
    "KeyRing",
    "Policy",
    "Provider",
    "Purse",
    "RateLimiter",
    "Recorder",
    "StreamPart",
    "UpstreamClient",
    "UpstreamRequest",
    "UpstreamResponse",
    "UpstreamStream",
    "Usage",
]


# --- HTTP towards providers -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """One POST. `timeout_s` covers everything until the last byte of a body that is read whole.

    For a stream, `first_byte_timeout_s` covers the time until the status and headers, `timeout_s` each silence after.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes
    timeout_s: float
    first_byte_timeout_s: float


class UpstreamResponse(NamedTuple):
    """An answer read whole; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class UpstreamStream(Protocol):
    """An answer whose body is still coming."""

    status: int
    headers: Mapping[str, str]

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes as they arrive, however they are cut. UpstreamError (`timeout`, `connection`) when they stop."""
        ...


class UpstreamClient(Protocol):
    """An HTTP client towards providers.

    Guarantees: no redirect is followed, no proxy is taken from the environment, nothing is retried, answers are
    decompressed under a cap (`UpstreamError` `malformed` beyond 64 MiB); leaving `stream`'s block or cancelling
    closes the connection of an answer that was not read to its end. Every failure of the network is an UpstreamError:
    `connection` (refused, reset, cut), `timeout`. A status of 400 or more is an answer, not an error.
    """

    async def send(self, request: UpstreamRequest) -> UpstreamResponse: ...

    def stream(self, request: UpstreamRequest) -> AbstractAsyncContextManager[UpstreamStream]: ...

    async def close(self) -> None: ...


# --- Providers --------------------------------------------------------------------------------------------------------


class Usage(NamedTuple):
    """Tokens read and written, as the provider counted them."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class ChatCall:
    """One attempt at a chat completion: `body` is the caller's JSON object (do not change it)."""

    target: DeploymentTarget
    body: Mapping[str, Any]
    timeout_s: float


class Completion(NamedTuple):
    """A whole answer in OpenAI's format: `body` is the JSON that the caller gets.

    `usage` None: the provider counted nothing. `headers` are those worth passing on (`x-replay-score`).
    """

    body: bytes
    usage: Usage | None
    finish_reason: str | None
    headers: Mapping[str, str]


class StreamPart(NamedTuple):
    """One event of a stream: `data` is the JSON of an OpenAI chunk.

    `has_content`: something of the answer is in it (text, refusal, tool call): from then on no other target may take
    over. `usage` and `finish_reason` where this event carries them. `is_usage_only`: a chunk without choices, which
    the caller gets only when it asked for it. `headers` (those worth passing on) come with the first event alone.
    """

    data: bytes
    has_content: bool
    usage: Usage | None = None
    finish_reason: str | None = None
    is_usage_only: bool = False
    headers: Mapping[str, str] | None = None


class Provider(Protocol):
    """Speaks to targets of one kind.

    Every failure is an UpstreamError whose `result` is a value of AttemptResult; a caller's mistake that the provider
    found (400, 404, 413, 422) is `refused`, with the provider's error object as `body`.
    """

    async def complete(self, call: ChatCall) -> Completion: ...

    def stream(self, call: ChatCall) -> AsyncIterator[StreamPart]:
        """The events in order, ended by the provider's end mark; UpstreamError `connection` when that is missing.

        Closing the iterator closes the connection. The upstream is always asked for usage.
        """
        ...


# --- Deciding, money, recording ---------------------------------------------------------------------------------------


class DecidedPolicy(NamedTuple):
    """A decision, the features it was made of (see `Outcome.features`), and the seed of its exploration."""

    decision: Decision
    features: bytes
    seed: int


class Policy(Protocol):
    """The live DNA with its snapshot. Immutable: another one is exchanged for it as a whole."""

    generation: int
    dna_hash: str
    snapshot_hash: str
    models: tuple[str, ...]

    def decide(
        self, prompt: str, constraints: Constraints, *, seed: int, context: Mapping[str, str] | None = None
    ) -> DecidedPolicy:
        """Decide one request. DataError when none of the eligible models is known to it."""
        ...

    def propensities(self, decision: Decision) -> tuple[float, ...]:
        """With which probability each model is chosen, in the order of `decision.models`; they sum to 1."""
        ...


class Experiment(NamedTuple):
    """A rollout as a replica sees it: `policy` decides a `share` (0 to 1) of the requests, chosen by `rollout`."""

    rollout: str
    share: float
    policy: Policy


class KeyRing(Protocol):
    """Which keys are valid, in memory; refreshed from outside."""

    def principal(self, secret: str) -> Principal | None:
        """Who the key belongs to; None when it is unknown, expired or revoked. Takes the same time for all."""
        ...


class RateLimiter(Protocol):
    """Requests per minute and at once, for each key."""

    def admit(self, key_id: str) -> float | None:
        """None: go on (call `leave` later); otherwise the seconds to wait before asking again."""
        ...

    def leave(self, key_id: str) -> None: ...


class Purse(Protocol):
    """Money that was leased ahead; each attempt reserves what it may cost at most.

    Guarantees: what is settled and reserved never exceeds what was leased; a reservation ends exactly once; one that
    its owner forgets ends as spent in full when it expires.
    """

    def try_reserve(self, principal: Principal, amount_nano_usd: int) -> int | None:
        """A reservation out of what is at hand, at once; 0 when nobody limits this principal; None when short."""
        ...

    async def reserve(self, principal: Principal, amount_nano_usd: int) -> int:
        """The same, waiting for a lease. RequestError `budget_exceeded` or `budget_unavailable`."""
        ...

    def settle(self, reservation: int, principal: Principal, target: str, amount_nano_usd: int) -> None:
        """End a reservation (0 too) with what the attempt really cost; 0 gives all of it back."""
        ...


class Recorder(Protocol):
    """Takes outcomes over, to be kept until they are stored."""

    def record(self, outcome: Outcome) -> None:
        """At once and without failing."""
        ...
