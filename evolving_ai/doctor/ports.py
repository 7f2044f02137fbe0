"""What the doctor can do to a platform that is its own, beside asking it over HTTP."""

from typing import Protocol

from evolving_ai.serving.replay_provider.faults import FaultKind

__all__ = ["OwnPlatform"]


class OwnPlatform(Protocol):
    """A platform that nobody else uses, over replay providers. Raises PlatformError when it cannot be handled."""

    def order_fault(self, model: str, kind: FaultKind, *, seconds: float = 0.0, share: float = 1.0) -> None:
        """From now on a `share` (0 to 1) of the calls of `model` fails so; `seconds` as `Fault` has them."""

    def clear_faults(self) -> None:
        """No more faults, of no model."""

    def other_dna(self) -> str:
        """The ref of a DNA that is not live and may be promoted."""
        ...

    def processes(self, part: str) -> frozenset[int]:
        """The running processes of `gateway`, `control`, `decision` or `listener`; none while nobody can tell."""
        ...

    def kill(self, process_id: int) -> None:
        """End a process of it with SIGKILL; nothing when it has ended already."""
