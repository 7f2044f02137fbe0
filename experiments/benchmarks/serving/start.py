"""Starting and resting: how long `up --detach` takes until healthy, and what all processes take when idle."""

from collections.abc import Iterator

from experiments.benchmarks.bar import Bar, Limit
from experiments.benchmarks.serving.platform import Platform

__all__ = ["start_bars"]


def start_bars(platform: Platform) -> Iterator[Bar]:
    """Of a platform that was started just now."""
    yield Bar("up --detach until healthy", platform.started_s, "s", Limit("<", 40))
    memory = platform.cli("status")["memory"]
    yield Bar("memory of all processes when idle (PSS)", memory["bytes"] / 2**30, "GiB", Limit("<", 3))
