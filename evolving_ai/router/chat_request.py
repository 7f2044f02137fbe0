"""A chat completion as the gateway understands it: read from the caller's JSON, checked as far as deciding needs.

What only the provider can judge is left to it: unknown fields are kept and passed on.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from evolving_ai.domain.decision import Constraints
from evolving_ai.domain.identity import Principal
from evolving_ai.errors import RequestError

__all__ = [
    "ChatRequest",
    "Demands",
    "last_user_text",
    "prompt_hash",
    "read_chat_body",
    "read_json_object",
    "worst_case_tokens",
]

_MEDIA_TOKENS = 20_000
"""What one image, sound or file may count for: above every figure that a provider documents for one part."""
_MAX_CHOICES = 128
_MAX_DEPTH = 200
"""Of lists and objects in each other: less than the writer of JSON takes, so that what was read can be sent on."""


@dataclass(frozen=True, slots=True)
class Demands:
    """What a request demands beside its body (the `x-evolving-` headers). None: no demand."""

    constraints: Constraints | None = None
    deadline_s: float | None = None
    region: str | None = None
    dna: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(slots=True)
class ChatRequest:
    """One request on its way. `arrived_s` is monotonic; `input_bytes` the size of its body."""

    decision_id: str
    seed: int
    principal: Principal
    body: Mapping[str, Any]
    input_bytes: int
    arrived_s: float
    demands: Demands
    records_content: bool = False

    @property
    def model(self) -> str:
        model: str = self.body["model"]
        return model

    @property
    def is_stream(self) -> bool:
        return bool(self.body.get("stream"))

    @property
    def wants_usage(self) -> bool:
        """Whether the caller asked for the usage at the end of a stream."""
        options = self.body.get("stream_options")
        return bool(isinstance(options, dict) and options.get("include_usage"))


def read_json_object(raw: bytes) -> dict[str, Any]:
    """The JSON object that a body is; RequestError `invalid_json` or `invalid_request`.

    It can be written again: nothing is nested deeper than the writer goes.
    """
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as exc:
        raise RequestError("invalid_json", f"the body is not JSON: {exc}", hint="send one JSON object") from exc
    if not isinstance(body, dict):
        raise RequestError("invalid_request", f"the body is {_shown(body)}, expected a JSON object")
    # Counting brackets is next to nothing; only bodies that could be too deep are looked at.
    if raw.count(b"[") + raw.count(b"{") > _MAX_DEPTH and _is_deeper_than(body, _MAX_DEPTH):
        raise RequestError("invalid_request", f"the body is nested too deeply: expected at most {_MAX_DEPTH} levels")
    return body


def _is_deeper_than(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        inner = (item.values() if isinstance(item, dict) else item for item in level)
        level = [item for items in inner for item in items if isinstance(item, dict | list)]
        if not level:
            return False
    return True


def read_chat_body(raw: bytes) -> dict[str, Any]:
    """The JSON object of a chat completion; RequestError `invalid_json` or `invalid_request`."""
    body = read_json_object(raw)
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise _wrong("model", body.get("model"), "the name of a model, or auto")
    _check_messages(body.get("messages"))
    if not isinstance(body.get("stream"), bool | None):
        raise _wrong("stream", body["stream"], "true or false")
    for name, highest in (("max_tokens", None), ("max_completion_tokens", None), ("n", _MAX_CHOICES)):
        value = body.get(name)
        if value is not None and (type(value) is not int or value < 1 or (highest is not None and value > highest)):
            raise _wrong(name, value, "a whole number of 1 or more" + (f", at most {highest}" if highest else ""))
    return body


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise _wrong("messages", messages, "a list of one message or more")
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise _wrong("messages", message, "objects with a role and a content")
        if not isinstance(message.get("content"), str | list | None):
            raise _wrong("messages", message.get("content"), "content that is text or a list of parts")


def _wrong(name: str, value: Any, expected: str) -> RequestError:
    found = "is missing" if value is None else f"cannot be {_shown(value)}"
    return RequestError("invalid_request", f"{name} {found}: expected {expected}", param=name)


def _shown(value: Any) -> str:
    """A JSON value in a few words, however large it is."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return repr(value[:60]) if isinstance(value, str) else str(orjson.dumps(value), "ascii")


def last_user_text(messages: list[dict[str, Any]]) -> str:
    """The text of the last message of the user (parts joined); of the last message where the user said nothing."""
    for message in reversed(messages):
        if message["role"] == "user":
            return _text(message.get("content"))
    return _text(messages[-1].get("content"))


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = [part.get("text") for part in content if isinstance(part, dict)]
    return "".join(text for text in texts if isinstance(text, str))


def prompt_hash(prompt: str) -> str:
    """SHA-256 of a prompt: how outcomes name it, and how recorded answers are found."""
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()


def worst_case_tokens(request: ChatRequest, max_output_tokens: int) -> tuple[int, int]:
    """Upper bounds of the tokens that a target can read and write for this request.

    A token of text is at least one byte long. What a model may write is the caller's limit or else the model's own;
    the caller's is not believed beyond what the model can do.
    """
    body = request.body
    media = 0
    for message in body["messages"]:
        content = message.get("content")
        if isinstance(content, list):
            media += sum(isinstance(part, dict) and part.get("type") != "text" for part in content)
    # Of two limits, providers obey one or the other.
    asked = max(body.get("max_completion_tokens") or 0, body.get("max_tokens") or 0) or max_output_tokens
    return request.input_bytes + media * _MEDIA_TOKENS, min(asked, max_output_tokens) * (body.get("n") or 1)
