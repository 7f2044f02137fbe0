"""What the gateway must know of a chat completion in OpenAI's format, whole or as events of a stream.

It reads and never changes: what a caller gets is what the provider sent.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from evolving_ai.domain.outcome import AttemptResult
from evolving_ai.errors import UpstreamError
from evolving_ai.router.ports import Completion, StreamPart, Usage
from evolving_ai.router.providers.provider_failure import failure_of_error

__all__ = ["completion_of", "part_of"]

_FAILED = "error"
"""The finish_reason with which some providers say that the answer broke off."""


def completion_of(name: str, body: bytes, headers: Mapping[str, str], keys: Iterable[str | None]) -> Completion:
    """A whole answer; UpstreamError `malformed` when it is none, or what an error in it says.

    `name` is the target's, `headers` are those to pass on, `keys` must not be shown.
    """
    document = _object(name, body)
    if document.get("error"):
        raise failure_of_error(name, document["error"], keys=keys)
    choices = document.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise _malformed(name, "an answer without choices")
    first = choices[0]
    message = first.get("message")
    if not isinstance(message, dict):
        raise _malformed(name, "a choice without a message")
    finish_reason = first.get("finish_reason")
    if finish_reason is None:
        if not _has_content(message):
            raise _malformed(name, "an empty answer without finish_reason")
    elif finish_reason == _FAILED or not isinstance(finish_reason, str):
        raise failure_of_error(name, first.get("error") or "finish_reason error", keys=keys)
    return Completion(body, _usage_of(document), finish_reason, headers)


def part_of(
    name: str, data: bytes, headers: Mapping[str, str] | None, keys: Iterable[str | None], *, is_error: bool = False
) -> StreamPart:
    """One event of a stream; the errors of `completion_of`. `is_error`: the event is named so."""
    document = _object(name, data)
    if document.get("error") or is_error:
        raise failure_of_error(name, document.get("error") or document, keys=keys)
    if b"\n" in data:  # of several data lines; on its way out it must be one
        data = orjson.dumps(document)
    choices = document.get("choices")
    has_usage = document.get("usage") is not None
    usage = _usage_of(document) if has_usage else None
    if not choices:
        return StreamPart(data, False, usage, None, has_usage, headers)
    if not isinstance(choices, list):
        raise _malformed(name, "an event whose choices are no list")
    has_content, finish_reason = False, None
    for choice in choices:
        if not isinstance(choice, dict):
            raise _malformed(name, "a choice that is no object")
        delta = choice.get("delta")
        has_content = has_content or (isinstance(delta, dict) and _has_content(delta))
        finish_reason = choice.get("finish_reason") or finish_reason
    if finish_reason is not None and (finish_reason == _FAILED or not isinstance(finish_reason, str)):
        raise failure_of_error(name, choices[0].get("error") or "finish_reason error", keys=keys)
    return StreamPart(data, has_content, usage, finish_reason, False, headers)


def _has_content(message: Mapping[str, Any]) -> bool:
    """Whether anything is in a message or delta beside the role: text, refusal, reasoning, tool calls, sound."""
    if message.get("content"):
        return True
    return any(value for field, value in message.items() if field != "role")


def _usage_of(document: Mapping[str, Any]) -> Usage | None:
    usage = document.get("usage")
    if not isinstance(usage, dict):
        return None
    read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if type(read) is not int or type(written) is not int or read < 0 or written < 0:
        return None
    return Usage(read, written)


def _object(name: str, data: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as exc:
        raise _malformed(name, "what is no JSON") from exc
    if not isinstance(document, dict):
        raise _malformed(name, "JSON that is no object")
    return document


def _malformed(name: str, what: str) -> UpstreamError:
    return UpstreamError(AttemptResult.MALFORMED, f"{name} sent {what}: expected a chat completion in OpenAI's format")
