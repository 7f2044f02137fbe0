"""What a demonstration needs: a platform that is its own, and somebody to tell how it goes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from evolving_ai.serving.replay_provider.faults import FaultKind

__all__ = ["Platform", "Teller"]


class Platform(Protocol):
    """A platform that nobody else uses, over replay providers. Raises PlatformError when it cannot be handled."""

    @property
    def home(self) -> Path:
        """Where its state lies."""
        ...

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The JSON object with which a request succeeds; PlatformError, in one line, for anything else."""
        ...

    def check(self) -> None:
        """PlatformError when it has ended, StorageError when its disk is full."""

    def target_of(self, model: str) -> str:
        """The name by which a model alone is asked."""
        ...

    def breakers(self, looks: int) -> Mapping[str, Mapping[str, str]]:
        """By replica, the state of the breaker of each model, as far as `looks` connections find replicas."""
        ...

    def order_fault(self, model: str, kind: FaultKind | None, *, status: int | None = None) -> None:
        """From now on every call of `model` fails so, `status` as `Fault` has it; None: no call does any more."""


class Teller(Protocol):
    """Shows progress to a person. Texts are one line."""

    def begin(self, step: int, steps: int, title: str) -> None:
        """A step begins: number `step` of `steps`, counted from 1."""

    def tell(self, text: str) -> None:
        """Something that was found; it stays to be read."""

    def show(self, text: str) -> None:
        """How it stands at this moment; the next takes its place."""
