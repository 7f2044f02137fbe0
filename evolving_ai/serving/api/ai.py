"""`/api/v1/ai`: the wire format of chat, completion, route and providers.

The gateway answers these itself (`serving.gateway.own_routes`); the router here puts them into the OpenAPI document.
"""

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from evolving_ai.errors import RequestError

__all__ = [
    "ChatAnswer",
    "ChatBody",
    "CompletionAnswer",
    "CompletionBody",
    "ProviderView",
    "ProvidersView",
    "RouteAnswer",
    "RouteBody",
    "RouteCandidate",
    "TargetView",
    "UsageView",
    "ai_router",
]


class ChatBody(BaseModel):
    """OpenAI's body of a chat completion; other fields are passed to the provider."""

    model_config = ConfigDict(extra="allow")

    messages: list[dict[str, Any]] = Field(min_length=1)
    model: str | None = Field(default=None, description="Default: auto.")
    auto_optimize: bool = Field(default=False, description="True: the same as model auto.")
    stream: bool = Field(default=False, description="True: OpenAI's stream of chunks.")


class CompletionBody(BaseModel):
    """A prompt; other fields are passed to the provider as those of a chat completion."""

    model_config = ConfigDict(extra="allow")

    prompt: str = Field(min_length=1)
    model: str | None = None


class RouteBody(BaseModel):
    """What is to be decided about, without asking any model."""

    model_config = ConfigDict(extra="forbid")

    messages: list[dict[str, Any]] | None = None
    prompt: str | None = None
    model: str | None = None


class UsageView(BaseModel):
    """Tokens, as the provider counted them."""

    input_tokens: int
    output_tokens: int


class _Answer(BaseModel):
    id: str = Field(description="The decision id: key of feedback and of explain.")
    model: str
    target: str
    finish_reason: str | None
    usage: UsageView
    cost_usd: str
    attempts: int
    dna: str
    snapshot: str


class ChatAnswer(_Answer):
    """The answer with what it took."""

    message: dict[str, Any]


class CompletionAnswer(_Answer):
    """The text with what it took."""

    text: str


class RouteCandidate(BaseModel):
    """A model as the policy sees it for this request; `score` None: it is not allowed."""

    model: str
    targets: list[str]
    quality: float
    cost_usd: float
    score: float | None
    propensity: float


class RouteAnswer(BaseModel):
    """A decision that nothing was done about."""

    decision_id: None = None
    chosen: str
    candidates: list[RouteCandidate]
    relaxed: list[str]
    dna: str
    snapshot: str


class TargetView(BaseModel):
    """A target with its price, in dollars for a million tokens."""

    name: str
    model: str
    input_usd_per_million: float
    output_usd_per_million: float
    breaker: Literal["closed", "open", "half_open"]


class ProviderView(BaseModel):
    """A provider; `is_ready`: its key, if it needs one, is in the environment."""

    name: str
    kind: Literal["openai", "litellm", "replay"]
    region: str | None
    is_ready: bool
    targets: list[TargetView]


class ProvidersView(BaseModel):
    """Every provider of this installation."""

    providers: list[ProviderView]


def ai_router() -> APIRouter:
    """The routes as the OpenAPI document shows them."""
    router = APIRouter(prefix="/api/v1/ai", tags=["ai"])

    @router.post("/chat")
    async def chat(body: ChatBody) -> ChatAnswer:
        """Answer a conversation; with `stream`, as OpenAI's server-sent events."""
        raise _elsewhere(body)

    @router.post("/completion")
    async def completion(body: CompletionBody) -> CompletionAnswer:
        """Answer one prompt."""
        raise _elsewhere(body)

    @router.post("/route")
    async def route(body: RouteBody) -> RouteAnswer:
        """Decide which model would answer, and say why."""
        raise _elsewhere(body)

    @router.get("/providers")
    async def providers() -> ProvidersView:
        """Providers and targets, with prices and health."""
        raise _elsewhere(None)

    return router


def _elsewhere(_body: BaseModel | None) -> RequestError:
    """These requests never come here: a replica of the gateway answers them."""
    return RequestError("not_found", "this route is answered by the gateway, not by control")
