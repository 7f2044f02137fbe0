"""The platform from Python: `EvolutionFramework` (asynchronous), `SyncEvolutionFramework`, their results and errors.

It speaks HTTP with a gateway and loads nothing of the server.
"""

from evolving_ai.sdk.asynchronous.framework import EvolutionFramework
from evolving_ai.sdk.asynchronous.stream import ChatStream
from evolving_ai.sdk.errors import (
    ApiConnectionError,
    ApiError,
    ApiTimeoutError,
    AuthenticationError,
    BudgetExceededError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    UnavailableError,
)
from evolving_ai.sdk.results import ChatResult, CompletionResult, Decision, EvolutionStatus, LiveDna, Rollout, Route
from evolving_ai.sdk.streamed_chat import ChatChunk
from evolving_ai.sdk.synchronous.framework import SyncEvolutionFramework
from evolving_ai.sdk.synchronous.stream import SyncChatStream

__all__ = [
    "ApiConnectionError",
    "ApiError",
    "ApiTimeoutError",
    "AuthenticationError",
    "BudgetExceededError",
    "ChatChunk",
    "ChatResult",
    "ChatStream",
    "CompletionResult",
    "Decision",
    "EvolutionFramework",
    "EvolutionStatus",
    "InvalidRequestError",
    "LiveDna",
    "NotFoundError",
    "PermissionDeniedError",
    "RateLimitError",
    "Rollout",
    "Route",
    "SyncChatStream",
    "SyncEvolutionFramework",
    "UnavailableError",
]
