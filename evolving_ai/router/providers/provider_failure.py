"""What a provider's error means for the request: one of `domain.outcome.AttemptResult`.

The status decides, and where an error comes inside an answer of status 200, its code and type. What the provider wrote
reaches a caller only where the request itself is at fault, and then without anything that looks like a key.
"""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from evolving_ai.domain.outcome import AttemptResult
from evolving_ai.errors import UpstreamError
from evolving_ai.router.providers.key_scrubber import scrub, scrub_document

__all__ = ["failure_of_error", "failure_of_status", "retry_after_s"]

_BY_STATUS: Mapping[int, AttemptResult] = {
    401: AttemptResult.CREDENTIALS,
    402: AttemptResult.CREDENTIALS,  # the account has no credit: another provider can still answer
    403: AttemptResult.CREDENTIALS,
    407: AttemptResult.CREDENTIALS,
    408: AttemptResult.TIMEOUT,
    429: AttemptResult.RATE_LIMITED,
    504: AttemptResult.TIMEOUT,
}
_BY_WORD: Mapping[str, AttemptResult] = {
    "authentication_error": AttemptResult.CREDENTIALS,
    "billing_error": AttemptResult.CREDENTIALS,
    "invalid_api_key": AttemptResult.CREDENTIALS,
    "permission_error": AttemptResult.CREDENTIALS,
    "insufficient_quota": AttemptResult.RATE_LIMITED,
    "rate_limit_error": AttemptResult.RATE_LIMITED,
    "rate_limit_exceeded": AttemptResult.RATE_LIMITED,
    "timeout": AttemptResult.TIMEOUT,
    "timeout_error": AttemptResult.TIMEOUT,
    "invalid_request_error": AttemptResult.REFUSED,
}
_BAD_KEY_MARKS = (b"invalid_api_key", b"API_KEY_INVALID")
"""Some providers say 400 to a bad key."""
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")
_MAX_MESSAGE_CHARACTERS = 2000


def failure_of_status(
    name: str, status: int, headers: Mapping[str, str], body: bytes, *, keys: Iterable[str | None], now: datetime | None
) -> UpstreamError:
    """What an answer with a status other than 2xx says; `name` is the target's, `keys` must not be shown."""
    error = _error_in(body)
    return _failure(
        name,
        _result_of_status(status, body),
        error,
        status=status,
        retry_after=retry_after_s(headers, now),
        keys=tuple(keys),
    )


def failure_of_error(name: str, error: Any, *, keys: Iterable[str | None]) -> UpstreamError:
    """What an error object says that came in an answer of status 200, whole or as an event of a stream."""
    document = error if isinstance(error, dict) else {"message": str(error)}
    code = document.get("code")
    status = code if type(code) is int and 400 <= code < 600 else None
    if status is not None:
        result = _result_of_status(status, b"")
    else:
        words = (document.get("code"), document.get("type"))
        found = (_BY_WORD.get(word) for word in words if isinstance(word, str))
        result = next((result for result in found if result is not None), AttemptResult.SERVER_ERROR)
    return _failure(name, result, document, status=status, retry_after=None, keys=tuple(keys))


def retry_after_s(headers: Mapping[str, str], now: datetime | None) -> float | None:
    """Seconds that the provider asks to wait (`retry-after-ms`, else `retry-after` as seconds or HTTP date).

    Without `now` a date says nothing.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is not None or text is None or now is None:
        return seconds
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


def _result_of_status(status: int, body: bytes) -> AttemptResult:
    known = _BY_STATUS.get(status)
    if known is not None:
        return known
    if status >= 500:
        return AttemptResult.SERVER_ERROR
    if status < 400:
        return AttemptResult.MALFORMED
    if status == 400 and any(mark in body for mark in _BAD_KEY_MARKS):
        return AttemptResult.CREDENTIALS
    return AttemptResult.REFUSED


def _error_in(body: bytes) -> dict[str, Any]:
    """The error object of a body; empty when it has none."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if isinstance(document, list) and document:
        document = document[0]  # as Google wraps it
    if not isinstance(document, dict):
        return {}
    error = document.get("error", document)
    return error if isinstance(error, dict) else {"message": str(error)}


def _failure(
    name: str,
    result: AttemptResult,
    error: Mapping[str, Any],
    *,
    status: int | None,
    retry_after: float | None,
    keys: tuple[str | None, ...],
) -> UpstreamError:
    said = "an error" if status is None else f"status {status}"
    words = [word for word in (error.get("code"), error.get("type")) if isinstance(word, str) and _WORD.fullmatch(word)]
    reason = f" ({scrub(words[0], *keys)})" if words else ""
    text = f"{name} answered with {said}{reason}"
    if result is AttemptResult.MALFORMED:
        text += ": expected a chat completion, check the provider's base_url"
    body = _shown(error, text, keys) if result is AttemptResult.REFUSED else None
    return UpstreamError(result, text, status=status, retry_after_s=retry_after, body=body)


def _shown(error: Mapping[str, Any], text: str, keys: tuple[str | None, ...]) -> bytes:
    """The provider's error object in OpenAI's form, with all four keys."""
    message = error.get("message") or error.get("detail") or text
    plain = message if isinstance(message, str) else orjson.dumps(message).decode()
    kept = {key: value for key, value in error.items() if key not in ("message", "detail", "metadata")}
    document = {
        "type": "invalid_request_error",
        "param": None,
        "code": None,
        **scrub_document(kept, *keys),
        "message": scrub(plain, *keys)[:_MAX_MESSAGE_CHARACTERS],
    }
    return orjson.dumps({"error": document})
