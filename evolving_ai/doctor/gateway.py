"""A platform as its clients see it: requests with one key, and answers as they came, refusals included."""

import json as json_module
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from evolving_ai.doctor.expectation import expect
from evolving_ai.errors import PlatformError

__all__ = ["CHAT_PATH", "Answer", "Gateway", "chat_body"]

CHAT_PATH = "/v1/chat/completions"
_MAX_TOKENS = 16
"""Enough to see an answer; where a real provider answers, it costs next to nothing."""
_SHOWN_CHARS = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. Names in `headers` are of lower case."""

    status: int
    headers: Mapping[str, str]
    text: str

    def document(self) -> dict[str, Any]:
        """The JSON object that the body is; PlatformError when it is none."""
        try:
            found = json_module.loads(self.text)
        except ValueError as exc:
            raise PlatformError(f"the body is no JSON: {self.shown}") from exc
        expect(isinstance(found, dict), f"the body is no JSON object: {self.shown}")
        document: dict[str, Any] = found
        return document

    @property
    def error_code(self) -> str | None:
        """The code of an error object, of OpenAI's dialect or the platform's own; None where there is none."""
        try:
            error = json_module.loads(self.text)["error"]
            return str(error["code"])
        except (ValueError, TypeError, KeyError):
            return None

    @property
    def shown(self) -> str:
        """The status and the beginning of the body, in a line."""
        return f"{self.status} {' '.join(self.text[:_SHOWN_CHARS].split())}"

    def header(self, name: str) -> str:
        """A header that the answer must have; PlatformError when it has not."""
        value = self.headers.get(name)
        if value is None:
            raise PlatformError(f"the answer has no header {name}")
        return value


class Gateway:
    """Asks a platform through `client`, which knows its address; `key` is shown where no other is given.

    Threads may share it. Close the client when done.
    """

    def __init__(self, client: httpx.Client, key: str) -> None:
        self._client = client
        self._key = key

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | bytes | None = None,
        *,
        key: str | None = None,
        is_alone: bool = False,
    ) -> Answer:
        """The answer, whatever its status. PlatformError when there is none.

        `key` "" shows none at all. `is_alone`: on a connection of its own, so that any replica may answer.
        """
        shown = self._key if key is None else key
        headers = {"content-type": "application/json"}
        if shown:
            headers["authorization"] = f"Bearer {shown}"
        if is_alone:
            headers["connection"] = "close"
        content = body if isinstance(body, bytes | None) else json_module.dumps(body).encode()
        try:
            answer = self._client.request(method, path, content=content, headers=headers)
            return Answer(answer.status_code, dict(answer.headers), answer.text)
        except httpx.HTTPError as exc:
            text = f"{method} {path} got no answer ({type(exc).__name__}: {exc})"
            raise PlatformError(text) from exc

    def chat(self, model: str, *, is_stream: bool = False, key: str | None = None, is_alone: bool = False) -> Answer:
        """The answer to a short chat; PlatformError when there is none."""
        return self.ask("POST", CHAT_PATH, chat_body(model, is_stream=is_stream), key=key, is_alone=is_alone)

    def fetch(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The JSON object with which a request succeeds; PlatformError for anything else."""
        answer = self.ask(method, path, body)
        expect(answer.status in (200, 201), f"{method} {path} was answered {answer.shown}")
        return answer.document()


def chat_body(model: str, *, is_stream: bool = False) -> dict[str, Any]:
    """The body of a short chat."""
    message = {"role": "user", "content": "Answer with one word: are you there?"}
    body: dict[str, Any] = {"model": model, "messages": [message], "max_tokens": _MAX_TOKENS}
    return {**body, "stream": True} if is_stream else body
