"""How an answer, or an error, crosses from one deployment to another.

Errors go as their names and facts, not as pickled exceptions: those of one release could not be read by another, and
Ray would wrap them in text.
"""

from collections.abc import Awaitable, Mapping
from typing import Any, TypeAlias

from evolving_ai import errors

__all__ = ["Answer", "answer_of", "result_of"]

Answer: TypeAlias = "tuple[bytes | None, Mapping[str, Any] | None]"
"""What was answered, or what failed."""

_FACTS = ("code", "hint", "param", "retry_after_s")


async def answer_of(call: Awaitable[bytes]) -> Answer:
    """Await `call`; errors that are raised on purpose become a part of the answer, defects are raised."""
    try:
        return await call, None
    except errors.EvolvingAIError as exc:
        facts = {name: getattr(exc, name) for name in _FACTS if hasattr(exc, name)}
        return None, {"error": type(exc).__name__, "message": str(exc), **facts}


def result_of(answer: Answer) -> bytes:
    """What was answered; the error that failed it is raised again, as a PlatformError where it has no plain form."""
    payload, failure = answer
    if failure is None:
        return payload or b""
    message = str(failure["message"])
    if failure["error"] == errors.RequestError.__name__:
        raise errors.RequestError(
            failure["code"],
            message,
            hint=failure["hint"],
            param=failure["param"],
            retry_after_s=failure["retry_after_s"],
        )
    kind = getattr(errors, failure["error"], None) if failure["error"] in errors.__all__ else None
    if kind is None or kind in (errors.GeneError, errors.UpstreamError):
        raise errors.PlatformError(message)
    raise kind(message)
