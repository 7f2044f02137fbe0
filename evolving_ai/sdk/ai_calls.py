"""The calls below `/api/v1/ai`, as values."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

from evolving_ai.errors import UsageError
from evolving_ai.sdk.call import ApiCall, encode_body, path_of
from evolving_ai.sdk.results import ChatResult, CompletionResult, Decision, Feedback, Provider, Route
from evolving_ai.sdk.retries import Effect

__all__ = [
    "Amount",
    "Demands",
    "Messages",
    "chat_call",
    "completion_call",
    "decision_call",
    "feedback_call",
    "providers_call",
    "route_call",
]

Amount: TypeAlias = float | Decimal
Messages: TypeAlias = Iterable[Mapping[str, Any]]

_AUTO = "auto"
_CONFLICT = "auto_optimize=False leaves nobody to choose a model: name one as model"


@dataclass(frozen=True, slots=True)
class Demands:
    """What a request demands beside its body: the `x-evolving-` headers. None: no demand."""

    max_cost_usd: Amount | None = None
    min_quality: float | None = None
    deadline_ms: float | None = None
    tags: Sequence[str] | None = None
    dna: str | None = None

    def headers(self) -> dict[str, str]:
        """The headers; UsageError for what no header can say."""
        if isinstance(self.tags, str) or any("," in tag for tag in self.tags or ()):
            raise UsageError("tags: expected a list of words without commas")
        said = {
            "x-evolving-max-cost-usd": self.max_cost_usd,
            "x-evolving-min-quality": self.min_quality,
            "x-evolving-deadline-ms": self.deadline_ms,
            "x-evolving-tags": ",".join(self.tags) if self.tags else None,
            "x-evolving-dna": self.dna,
        }
        headers = {name: str(value) for name, value in said.items() if value is not None}
        for name, text in headers.items():
            if not (text.isascii() and text.isprintable()):
                raise UsageError(f"{name.removeprefix('x-evolving-')} cannot be sent in a header: expected plain ASCII")
        return headers


def chat_call(
    messages: Messages,
    fields: Mapping[str, Any],
    demands: Demands,
    *,
    model: str | None,
    auto_optimize: bool,
    stream: bool,
    timeout_s: float | None,
) -> ApiCall[ChatResult]:
    """A conversation. Of a stream the usage is asked for as well."""
    if model is None and not auto_optimize:
        raise UsageError(_CONFLICT)
    body: dict[str, Any] = {**fields, "model": model or _AUTO, "messages": _listed(messages)}
    if stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True, **(fields.get("stream_options") or {})}
    content = encode_body(body)
    return ApiCall(
        "POST", path_of("ai", "chat"), _read_chat, Effect.COSTS, content, demands.headers(), timeout_s=timeout_s
    )


def completion_call(
    prompt: str, fields: Mapping[str, Any], demands: Demands, *, model: str | None, timeout_s: float | None
) -> ApiCall[CompletionResult]:
    """A single prompt."""
    content = encode_body({**fields, "model": model or _AUTO, "prompt": prompt})
    return ApiCall(
        "POST",
        path_of("ai", "completion"),
        _read_completion,
        Effect.COSTS,
        content,
        demands.headers(),
        timeout_s=timeout_s,
    )


def route_call(messages: Messages, demands: Demands, *, model: str | None) -> ApiCall[Route]:
    """Only the decision."""
    content = encode_body({"model": model or _AUTO, "messages": _listed(messages)})
    return ApiCall("POST", path_of("ai", "route"), Route.model_validate, Effect.READS, content, demands.headers())


def providers_call() -> ApiCall[tuple[Provider, ...]]:
    """Every provider."""
    return ApiCall("GET", path_of("ai", "providers"), _read_providers, Effect.READS)


def feedback_call(decision_id: str, score: float, comment: str | None) -> ApiCall[Feedback]:
    """How good an answer was; the same once more is no change."""
    body: dict[str, Any] = {"decision_id": decision_id, "score": score}
    if comment is not None:
        body["comment"] = comment
    return ApiCall("POST", path_of("ai", "feedback"), Feedback.model_validate, Effect.COSTS, encode_body(body))


def decision_call(decision_id: str) -> ApiCall[Decision]:
    """Why a decision was made, and what came of it."""
    return ApiCall("GET", path_of("ai", "decisions", decision_id), Decision.model_validate, Effect.READS)


def _listed(messages: Messages) -> list[Mapping[str, Any]]:
    if isinstance(messages, str | bytes | Mapping):
        raise UsageError('messages: expected a list such as [{"role": "user", "content": "Hello"}]')
    return list(messages)


def _read_chat(document: Any) -> ChatResult:
    return ChatResult.model_validate({**document, "raw": document})


def _read_completion(document: Any) -> CompletionResult:
    return CompletionResult.model_validate({**document, "raw": document})


def _read_providers(document: Any) -> tuple[Provider, ...]:
    return tuple(Provider.model_validate(provider) for provider in document["providers"])
