"""Targets: where a request can be sent."""

from dataclasses import dataclass
from enum import StrEnum

from evolving_ai.domain.money import TokenPrice

__all__ = ["DeploymentTarget", "ProviderKind"]


class ProviderKind(StrEnum):
    """How a provider is spoken to: OpenAI's wire format, litellm's adapters, or recorded answers (OpenAI's format)."""

    OPENAI = "openai"
    LITELLM = "litellm"
    REPLAY = "replay"


@dataclass(frozen=True, slots=True)
class DeploymentTarget:
    """One model at one provider in one region, with the name of the variable that holds the credentials.

    `model` is the catalogue name that policies decide about, `upstream_model` what the provider calls it. `base_url`
    ends before `/chat/completions` (None: litellm knows). `max_output_tokens` bounds what one answer can cost.
    `timeout_s` is for the whole attempt, `first_byte_timeout_s` until the first content of a stream arrives.
    """

    provider: str
    model: str
    upstream_model: str
    kind: ProviderKind
    base_url: str | None
    api_key_env: str | None
    region: str | None
    price: TokenPrice
    max_output_tokens: int
    timeout_s: float = 120.0
    first_byte_timeout_s: float = 30.0

    @property
    def name(self) -> str:
        """`provider/model`: what a request may ask for to get this target alone."""
        return f"{self.provider}/{self.model}"
