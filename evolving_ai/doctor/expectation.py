"""Saying what a scenario expects of a platform."""

from evolving_ai.errors import PlatformError

__all__ = ["expect"]


def expect(is_so: bool, otherwise: str) -> None:
    """PlatformError with the text `otherwise`, unless it is so."""
    if not is_so:
        raise PlatformError(otherwise)
