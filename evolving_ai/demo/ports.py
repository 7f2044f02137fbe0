"""Whom a demonstration tells how it goes."""

from typing import Protocol

__all__ = ["Teller"]


class Teller(Protocol):
    """Shows progress to a person. Texts are one line."""

    def begin(self, step: int, steps: int, title: str) -> None:
        """A step begins: number `step` of `steps`, counted from 1."""

    def tell(self, text: str) -> None:
        """Something that was found; it stays to be read."""

    def show(self, text: str) -> None:
        """How it stands at this moment; the next takes its place."""
