"""The long tail of providers, through litellm's adapters.

A target's upstream model is named as litellm names it (`anthropic/claude-...`). litellm takes seconds to import, so it
is imported with the first call, on a thread. Only what OpenAI documents of a request is handed over: litellm reads
addresses, keys and callbacks from its arguments, and a caller must not set those. For the same reason pictures and
files come as data, not as addresses that the gateway would have to fetch.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from evolving_ai.domain.outcome import AttemptResult
from evolving_ai.domain.target import DeploymentTarget
from evolving_ai.errors import UpstreamError
from evolving_ai.router.ports import ChatCall, Completion, StreamPart
from evolving_ai.router.providers.chat_answer import completion_of, part_of
from evolving_ai.router.providers.provider_failure import failure_of_status

__all__ = ["LitellmProvider"]

_SETTINGS = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # the price list is not fetched from the network
    "LITELLM_MODE": "PRODUCTION",  # no .env file of the working directory is read
    "LITELLM_TELEMETRY": "False",
}
_PASSED_ON = (
    *("temperature", "top_p", "n", "stop", "seed", "user", "max_tokens", "max_completion_tokens", "logit_bias"),
    *("presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "response_format", "modalities", "audio"),
    *("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "web_search_options", "prediction"),
    *("reasoning_effort", "verbosity", "thinking", "safety_identifier", "service_tier", "prompt_cache_key"),
)
_CONNECTION_ERRORS = frozenset({"APIConnectionError", "TransportError", "ClientConnectionError", "ClientPayloadError"})
_TIMEOUT_ERRORS = frozenset({"APITimeoutError", "TimeoutException", "Timeout", "TimeoutError"})
_MAX_CAUSES = 16
_MAX_DEPTH = 8
_ADDRESS_START = 64


class _Litellm(NamedTuple):
    """What is used of litellm. Every error that it raises on purpose is one of `error`."""

    acompletion: Any
    error: type[Exception]


class LitellmProvider:
    """Keeps the promises of `router.ports.Provider`, as far as litellm tells: an answer that a provider broke off is
    known by its missing finish_reason.

    `environment` holds the keys by name of their variable. A target without one leaves it to litellm, which reads the
    process's environment.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._litellm: _Litellm | None = None

    async def complete(self, call: ChatCall) -> Completion:
        litellm, key = await self._loaded(), self._key(call.target)
        arguments = _arguments(call, key)
        try:
            async with asyncio.timeout(call.timeout_s):
                answer = await litellm.acompletion(**arguments, timeout=call.timeout_s)
        except (litellm.error, TimeoutError, ValueError, TypeError, LookupError) as exc:
            raise _failure(call.target, exc, key) from None
        body = orjson.dumps(_plain(answer))
        return completion_of(call.target.name, body, _headers(answer), (key,))

    async def stream(self, call: ChatCall) -> AsyncGenerator[StreamPart, None]:
        litellm, key, target = await self._loaded(), self._key(call.target), call.target
        arguments = {**_arguments(call, key), "stream": True, "stream_options": {"include_usage": True}}
        try:
            async with asyncio.timeout(min(target.first_byte_timeout_s, call.timeout_s)):
                answer = await litellm.acompletion(**arguments, timeout=call.timeout_s)
        except (litellm.error, TimeoutError, ValueError, TypeError, LookupError) as exc:
            raise _failure(target, exc, key) from None
        headers: Mapping[str, str] | None = _headers(answer)
        try:
            async for chunk in _chunks(call, answer, litellm, key):
                yield part_of(target.name, chunk, headers, (key,))
                headers = None
        finally:
            await answer.aclose()
        if not _is_finished(answer):
            raise _cut(target)

    async def _loaded(self) -> _Litellm:
        if self._litellm is None:
            self._litellm = await asyncio.to_thread(_load)
        return self._litellm

    def _key(self, target: DeploymentTarget) -> str | None:
        if target.api_key_env is None:
            return None
        key = self._environment.get(target.api_key_env, "").strip()
        if not key:
            raise UpstreamError(
                AttemptResult.UNAVAILABLE,
                f"{target.name} has no key: set {target.api_key_env} in the gateway's environment",
            )
        return key


def _load() -> _Litellm:
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    import litellm
    import openai

    litellm.suppress_debug_info = True
    litellm.turn_off_message_logging = True
    return _Litellm(litellm.acompletion, openai.OpenAIError)


def _arguments(call: ChatCall, key: str | None) -> dict[str, Any]:
    """litellm's arguments; it may change what it is given, so it gets copies."""
    target = call.target
    if _is_fetched(call.body):
        text = f"{target.name} takes pictures and files as data, not as addresses: send a data: URL, and no mcp tools"
        raise UpstreamError(AttemptResult.REFUSED, text, status=400)
    kept = {name: value for name, value in call.body.items() if name in _PASSED_ON and value is not None}
    arguments: dict[str, Any] = orjson.loads(orjson.dumps({**kept, "messages": call.body["messages"]}))
    arguments |= {"model": target.upstream_model, "num_retries": 0, "max_retries": 0, "drop_params": True}
    if key is not None:
        arguments["api_key"] = key
    if target.base_url is not None:
        arguments["base_url"] = target.base_url
    return arguments


def _is_fetched(body: Mapping[str, Any]) -> bool:
    """Whether somewhere in the request stands an address that litellm or the gateway would have to open."""
    parts = [
        part
        for message in body.get("messages") or ()
        if isinstance(message, dict) and isinstance(message.get("content"), list)
        for part in message["content"]
        if isinstance(part, dict) and part.get("type") != "text"
    ]
    tools = [tool for tool in body.get("tools") or () if isinstance(tool, dict) and tool.get("type") == "mcp"]
    return _has_address(parts) or bool(tools)


def _has_address(value: Any, depth: int = _MAX_DEPTH) -> bool:
    """What is nested too deep counts as one."""
    if isinstance(value, str):
        return "://" in value[:_ADDRESS_START]
    if not isinstance(value, dict | list):
        return False
    items = value.values() if isinstance(value, dict) else value
    return depth == 0 or any(_has_address(item, depth - 1) for item in items)


async def _chunks(call: ChatCall, answer: Any, litellm: _Litellm, key: str | None) -> AsyncIterator[bytes]:
    """The chunks in OpenAI's form; the one with the usage has no choices, as OpenAI sends it."""
    iterator = aiter(answer)
    while True:
        try:
            async with asyncio.timeout(call.timeout_s):
                chunk = await anext(iterator)
        except StopAsyncIteration:
            return
        except (litellm.error, TimeoutError, ValueError, TypeError, LookupError) as exc:
            raise _failure(call.target, exc, key) from None
        document = _plain(chunk)
        choices = document.get("choices") or []
        if document.get("usage") and not any(choice.get("finish_reason") or choice.get("delta") for choice in choices):
            document["choices"] = []
        for choice in document["choices"]:
            if choice.setdefault("finish_reason", None) and not _is_finished(answer):
                raise _cut(call.target)
        yield orjson.dumps(document)


def _is_finished(answer: Any) -> bool:
    """Whether the provider sent a finish_reason: litellm makes one up where it did not."""
    return bool(answer.received_finish_reason or answer.intermittent_finish_reason)


def _cut(target: DeploymentTarget) -> UpstreamError:
    text = f"{target.name} ended its stream without finish_reason: the answer may be incomplete"
    return UpstreamError(AttemptResult.CONNECTION, text)


def _plain(answer: Any) -> dict[str, Any]:
    """The JSON of one of litellm's objects, without what litellm knows about itself."""
    document: dict[str, Any] = answer.model_dump(mode="json", exclude_none=True, warnings=False)
    document.pop("provider_specific_fields", None)
    for choice in document.get("choices") or ():
        choice.pop("provider_specific_fields", None)
        (choice.get("message") or choice.get("delta") or {}).pop("provider_specific_fields", None)
    return document


def _headers(answer: Any) -> dict[str, str]:
    """The provider's number of the request, under the gateway's name for it."""
    sent = (getattr(answer, "_hidden_params", None) or {}).get("additional_headers") or {}
    for name in ("llm_provider-x-request-id", "llm_provider-request-id"):
        if isinstance(sent.get(name), str):
            return {"x-upstream-request-id": sent[name]}
    return {}


def _failure(target: DeploymentTarget, exc: Exception, key: str | None) -> UpstreamError:
    """One of litellm's errors. It gives status 500 to what never had an answer: what caused it tells more."""
    causes = list(_causes(exc))
    names = {base.__name__ for cause in causes for base in type(cause).__mro__}
    status = getattr(exc, "status_code", None)
    if names & _TIMEOUT_ERRORS or status in (408, 504):
        return UpstreamError(AttemptResult.TIMEOUT, f"{target.name} did not answer in time")
    if "LiteLLMUnknownProvider" in names or (status == 400 and len(causes) == 1 and "NOT provided" in str(exc)):
        text = f"litellm knows no provider of {target.upstream_model}: correct the target's upstream_model"
        return UpstreamError(AttemptResult.UNAVAILABLE, text)
    if status is None or status == 500:
        if "JSONDecodeError" in names:
            text = f"{target.name} sent what is no JSON: expected a chat completion"
            return UpstreamError(AttemptResult.MALFORMED, text)
        if any(names_of & _CONNECTION_ERRORS for names_of in map(_names, causes[1:])):
            return UpstreamError(AttemptResult.CONNECTION, f"the connection to {target.name} failed")
        return UpstreamError(AttemptResult.SERVER_ERROR, f"{target.name} failed ({type(exc).__name__})", status=status)
    headers = getattr(exc, "litellm_response_headers", None) or {}
    message = str(getattr(exc, "message", exc)).split(" - ", 1)[-1]
    body = orjson.dumps({"error": {"message": message, "code": getattr(exc, "code", None)}})
    return failure_of_status(target.name, status, headers, body, keys=(key,), now=None)


def _names(cause: BaseException) -> set[str]:
    return {base.__name__ for base in type(cause).__mro__}


def _causes(exc: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = exc
    for _ in range(_MAX_CAUSES):
        if current is None:
            return
        yield current
        current = getattr(current, "original_exception", None) or current.__cause__ or current.__context__
