"""Step 5: a DNA that does harm, which no recorded outcome could tell."""

from pathlib import Path

from evolving_ai.demo.demonstration import Demonstration

__all__ = ["roll_out_harm"]


def roll_out_harm(demo: Demonstration, table: Path) -> None:
    """Fill `record.bad`. PlatformError when it is not caught."""
