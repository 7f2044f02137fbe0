"""What a call to the platform can raise beside UsageError: one tree, with the facts as attributes.

    ApiError
    ├── AuthenticationError     no key, or one that is not valid
    ├── PermissionDeniedError   the key's role may not do this
    ├── NotFoundError           no such model, decision, campaign, key or DNA
    ├── InvalidRequestError     the request cannot be, or not now
    ├── BudgetExceededError     the budget of the key or of its tenant is used up
    ├── RateLimitError          too many requests: `retry_after_s` says when to come back
    ├── UnavailableError        the platform or every target failed
    ├── ApiConnectionError      no connection, or it broke before the answer was whole
    └── ApiTimeoutError         nothing came for as long as the client was told to wait

A status that belongs to none of them, and an answer that is not what this release understands, are a plain ApiError.
"""

import email.utils
from collections.abc import Mapping
from typing import Any

from evolving_ai.errors import EvolvingAIError

__all__ = [
    "ApiConnectionError",
    "ApiError",
    "ApiTimeoutError",
    "AuthenticationError",
    "BudgetExceededError",
    "InvalidRequestError",
    "NotFoundError",
    "PermissionDeniedError",
    "RateLimitError",
    "UnavailableError",
    "answered_error",
    "malformed_answer",
]

_MAX_TEXT = 500


class ApiError(EvolvingAIError):
    """A call failed.

    `code` is the platform's word for it (`domain.problem.PROBLEMS`), or `connection_failed`, `timeout` or
    `malformed_answer` where it gave none; `status` is the HTTP status, None when there was no answer; `hint` says what
    to do; `request_id` is what an operator finds the request by; `retry_after_s` when asking again makes sense.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        status: int | None = None,
        hint: str | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message if hint is None else f"{message} ({hint})")
        self.message = message
        self.code = code
        self.status = status
        self.hint = hint
        self.request_id = request_id
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[Any, ...]:
        facts = {name: value for name, value in vars(self).items() if name != "message"}
        return _rebuilt, (type(self), self.message, facts)


class AuthenticationError(ApiError):
    """No key, or one that is unknown, expired or revoked."""


class PermissionDeniedError(ApiError):
    """The role of the key may not do this."""


class NotFoundError(ApiError):
    """There is no such model, decision, campaign, key or DNA, or not for this tenant."""


class InvalidRequestError(ApiError):
    """The request cannot be, or contradicts what is so; asking again in the same way will not help."""


class BudgetExceededError(ApiError):
    """The budget of the key or of its tenant does not allow this request."""


class RateLimitError(ApiError):
    """Too many requests; `retry_after_s` says when the next may come."""


class UnavailableError(ApiError):
    """The platform, or every target that it tried, failed."""


class ApiConnectionError(ApiError):
    """No connection, or it broke before the answer was whole."""


class ApiTimeoutError(ApiError):
    """Nothing came for as long as the client was told to wait."""


def _rebuilt(kind: type[ApiError], message: str, facts: dict[str, Any]) -> ApiError:
    return kind(message, **facts)


_BY_CODE: Mapping[str, type[ApiError]] = {
    "budget_exceeded": BudgetExceededError,
}
_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    405: InvalidRequestError,
    409: InvalidRequestError,
    413: InvalidRequestError,
    415: InvalidRequestError,
    422: InvalidRequestError,
    429: RateLimitError,
}


def answered_error(status: int, headers: Mapping[str, str], document: Any) -> ApiError:
    """What an answer with an error status says. `document` is its JSON, None when it is none.

    Both forms are understood: that of `/api/v1` and that of OpenAI's dialect, which streams and proxies use.
    """
    said = document.get("error") if isinstance(document, dict) else None
    facts = said if isinstance(said, dict) else {}
    code = _text(facts.get("code")) or f"http_{status}"
    kind = _BY_CODE.get(code) or _BY_STATUS.get(status) or (UnavailableError if status >= 500 else ApiError)
    return kind(
        _text(facts.get("message")) or f"the platform answered with status {status}",
        code=code,
        status=status,
        hint=_text(facts.get("hint")),
        request_id=_text(facts.get("request_id")) or headers.get("x-request-id"),
        retry_after_s=_retry_after_s(headers),
    )


def malformed_answer(what: str, *, status: int | None = None, request_id: str | None = None) -> ApiError:
    """An answer that is not what this release understands."""
    hint = "is base_url the address of an evolving_ai gateway, of a release that fits this one?"
    return ApiError(what, code="malformed_answer", status=status, hint=hint, request_id=request_id)


def _text(value: Any) -> str | None:
    """One line of bounded length out of what another program sent; None when it sent nothing."""
    if value is None or value == "":
        return None
    return " ".join(str(value).split())[:_MAX_TEXT]


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """RFC 9110: seconds or a date; `retry-after-ms` is finer. A date counts from the answer's own."""
    for name, unit_s in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) / unit_s
        except (KeyError, ValueError):
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    try:
        until = email.utils.parsedate_to_datetime(headers["retry-after"])
        return max(0.0, (until - email.utils.parsedate_to_datetime(headers["date"])).total_seconds())
    except (KeyError, ValueError, TypeError):
        return None
