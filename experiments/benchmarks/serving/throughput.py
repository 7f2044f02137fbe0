"""How many requests, how fast: the gateway and LiteLLM's proxy over the same upstream, one after the other."""

from collections.abc import Iterator
from pathlib import Path

from experiments.benchmarks.bar import Bar, Limit
from experiments.benchmarks.serving.litellm_peer import LITELLM, PEER_KEY, litellm_proxy
from experiments.benchmarks.serving.platform import Platform
from experiments.benchmarks.serving.wrk import Throughput, measure

__all__ = ["peer_bars", "throughput_bars"]

_MANY = 32
_SECONDS = 10
_ONE_SECONDS = 5


def throughput_bars(platform: Platform, upstream: str, scratch: Path) -> Iterator[Bar]:
    """The gateway at 32 connections and at one; the upstream alone, for scale."""
    alone = measure(upstream.removesuffix("/v1"), "none", scratch, connections=_MANY, seconds=3, warm_s=1)
    yield Bar("upstream alone, 32 connections", alone.requests_per_s, "requests/s")
    many = measure(platform.url, platform.key, scratch, connections=_MANY, seconds=_SECONDS)
    yield Bar("throughput, 32 connections", many.requests_per_s, "requests/s", Limit(">=", 5000))
    yield from _latencies("32 connections", many)
    yield Bar("throughput, 32 connections: failed", many.failed, "requests", Limit("=", 0))
    one = measure(platform.url, platform.key, scratch, connections=1, seconds=_ONE_SECONDS)
    yield Bar("p50, 1 connection", one.p50_s * 1000, "ms", Limit("<", 1))
    yield Bar("p99, 1 connection", one.p99_s * 1000, "ms")


def peer_bars(upstream: str, scratch: Path, ours: float) -> Iterator[Bar]:
    """LiteLLM's proxy, and how many times its throughput is ours."""
    with litellm_proxy(scratch, upstream) as url:
        many = measure(url, PEER_KEY, scratch, connections=_MANY, seconds=_SECONDS)
        one = measure(url, PEER_KEY, scratch, connections=1, seconds=_ONE_SECONDS)
    yield Bar(f"LiteLLM {LITELLM} proxy, 32 connections", many.requests_per_s, "requests/s")
    yield from _latencies("LiteLLM, 32 connections", many)
    yield Bar("LiteLLM p50, 1 connection", one.p50_s * 1000, "ms")
    yield Bar("times LiteLLM's throughput, same run", ours / max(many.requests_per_s, 1e-9), "x", Limit(">=", 50))


def _latencies(name: str, seen: Throughput) -> Iterator[Bar]:
    yield Bar(f"p50, {name}", seen.p50_s * 1000, "ms")
    yield Bar(f"p99, {name}", seen.p99_s * 1000, "ms")
