"""A call as a value: what is to be sent, and how the answer is read. Both clients send it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from evolving_ai.errors import UsageError
from evolving_ai.sdk.retries import Effect

__all__ = ["ApiCall", "encode_body", "path_of"]

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class ApiCall(Generic[_Result]):
    """`read` makes the result out of the answer's JSON; it raises ValueError when that is not what it expects.

    `content` is JSON. `timeout_s` replaces that of the client. `also_read` are statuses of errors whose answers are
    results all the same.
    """

    method: str
    path: str
    read: Callable[[Any], _Result]
    effect: Effect
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float | None = None
    also_read: frozenset[int] = frozenset()

    def is_answered(self, status: int) -> bool:
        """Whether an answer with this status is a result."""
        return 200 <= status < 300 or status in self.also_read

    def all_headers(self, accept: str | None = None) -> dict[str, str]:
        """The headers of this call beside those that every call carries."""
        headers = dict(self.headers)
        if self.content is not None:
            headers["content-type"] = "application/json"
        if accept is not None:
            headers |= {"accept": accept, "accept-encoding": "identity"}  # compression would hold a stream back
        return headers


def encode_body(body: Mapping[str, Any]) -> bytes:
    """JSON of a body; UsageError when it has none."""
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as exc:
        raise UsageError(f"the request has no JSON form: {exc}") from exc


def path_of(*parts: str) -> str:
    """`/api/v1/` and `parts`, of which each is one step of the path whatever characters it has.

    UsageError for a part that is empty or a dot, which would be another path.
    """
    for part in parts:
        if not part.strip("."):
            raise UsageError(f"{part!r} names nothing: expected an id or a name")
    return "/api/v1/" + "/".join(quote(part, safe="") for part in parts)
