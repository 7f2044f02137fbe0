"""Waiting without an event loop, and spreading waits so that clients do not march in step."""

import random
import time

__all__ = ["pause", "spread"]

_SPREAD = 0.25


def pause(seconds: float) -> None:
    """Stop this thread for `seconds`."""
    time.sleep(seconds)


def spread(seconds: float) -> float:
    """`seconds`, shortened by up to a quarter at random."""
    return seconds * (1 - _SPREAD * random.random())  # noqa: S311 # nosec B311 - nothing is kept secret by it
