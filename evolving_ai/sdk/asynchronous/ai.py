"""`framework.ai`: asking models, and asking why. `sdk.synchronous.ai` is its twin."""

from collections.abc import Sequence
from typing import Any, Literal, overload

from evolving_ai.sdk.ai_calls import (
    Amount,
    Demands,
    Messages,
    chat_call,
    completion_call,
    decision_call,
    feedback_call,
    providers_call,
    route_call,
)
from evolving_ai.sdk.asynchronous.stream import ChatStream
from evolving_ai.sdk.asynchronous.transport import AsyncTransport
from evolving_ai.sdk.results import ChatResult, CompletionResult, Decision, Feedback, Provider, Route

__all__ = ["Ai"]


class Ai:
    """Every call raises an ApiError when it fails, and UsageError for arguments that cannot be sent."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    @overload
    async def chat(
        self,
        messages: Messages,
        *,
        model: str | None = None,
        auto_optimize: bool = True,
        stream: Literal[False] = False,
        max_cost_usd: Amount | None = None,
        min_quality: float | None = None,
        deadline_ms: float | None = None,
        tags: Sequence[str] | None = None,
        dna: str | None = None,
        timeout_s: float | None = None,
        **openai_fields: Any,
    ) -> ChatResult: ...

    @overload
    async def chat(
        self,
        messages: Messages,
        *,
        model: str | None = None,
        auto_optimize: bool = True,
        stream: Literal[True],
        max_cost_usd: Amount | None = None,
        min_quality: float | None = None,
        deadline_ms: float | None = None,
        tags: Sequence[str] | None = None,
        dna: str | None = None,
        timeout_s: float | None = None,
        **openai_fields: Any,
    ) -> ChatStream: ...

    async def chat(
        self,
        messages: Messages,
        *,
        model: str | None = None,
        auto_optimize: bool = True,
        stream: bool = False,
        max_cost_usd: Amount | None = None,
        min_quality: float | None = None,
        deadline_ms: float | None = None,
        tags: Sequence[str] | None = None,
        dna: str | None = None,
        timeout_s: float | None = None,
        **openai_fields: Any,
    ) -> ChatResult | ChatStream:
        """Answer a conversation (OpenAI's messages; further fields of OpenAI's body are passed on).

        With `auto_optimize` and no `model`, the live DNA chooses among all targets (`auto`). `model` narrows its
        choice: an alias, a model, or `provider/model`; without `auto_optimize` one must be named. With `stream` the
        stream is returned as soon as the first content is there.

        `max_cost_usd` and `min_quality` (0 to 1) bound what may be chosen, `deadline_ms` the time that the platform
        takes, `tags` are stored with the outcome, `dna` pins a DNA by its hash (operators only). `timeout_s` replaces
        the client's patience.
        """
        demands = Demands(max_cost_usd, min_quality, deadline_ms, tags, dna)
        call = chat_call(
            messages,
            openai_fields,
            demands,
            model=model,
            auto_optimize=auto_optimize,
            stream=stream,
            timeout_s=timeout_s,
        )
        if stream:
            return ChatStream(await self._transport.open(call))
        return await self._transport.send(call)

    async def completion(
        self,
        prompt: str,
        *,
        model: str | None = None,
        max_cost_usd: Amount | None = None,
        min_quality: float | None = None,
        deadline_ms: float | None = None,
        tags: Sequence[str] | None = None,
        dna: str | None = None,
        timeout_s: float | None = None,
        **openai_fields: Any,
    ) -> CompletionResult:
        """Answer one prompt; the rest is as with `chat`, but never streamed."""
        demands = Demands(max_cost_usd, min_quality, deadline_ms, tags, dna)
        return await self._transport.send(
            completion_call(prompt, openai_fields, demands, model=model, timeout_s=timeout_s)
        )

    async def route(
        self,
        messages: Messages,
        *,
        model: str | None = None,
        max_cost_usd: Amount | None = None,
        min_quality: float | None = None,
        dna: str | None = None,
    ) -> Route:
        """Decide who would answer, and say why; no model is asked and nothing is recorded."""
        return await self._transport.send(
            route_call(messages, Demands(max_cost_usd, min_quality, dna=dna), model=model)
        )

    async def providers(self) -> tuple[Provider, ...]:
        """Providers and targets, with prices and health."""
        return await self._transport.send(providers_call())

    async def feedback(self, decision_id: str, score: float, comment: str | None = None) -> Feedback:
        """Say how good an answer was, from 0 to 1: the platform learns from it. The last feedback stands."""
        return await self._transport.send(feedback_call(decision_id, score, comment))

    async def decision(self, decision_id: str) -> Decision:
        """Explain a decision; it is known about a second after its answer."""
        return await self._transport.send(decision_call(decision_id))
