"""Live exchange under load: promotions and rollbacks, and what every request saw of them."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from experiments.benchmarks.bar import Bar, Limit
from experiments.benchmarks.serving.load import Load, Sent
from experiments.benchmarks.serving.platform import Platform

__all__ = ["exchange_bars", "failures"]

_RATE = 1000.0
_SECONDS = 12.0
_SWAPS = 4
_PAUSE_S = 2.0


def exchange_bars(platform: Platform, scratch: Path, note: Callable[[str], None]) -> Iterator[Bar]:
    """Promote, roll back, promote, ... under 1,000 requests/s; a request is mixed when its DNA and snapshot are not of
    one live version, or its record says something else than its headers."""
    platform.cli("dna", "branch", "other", "main")
    platform.cli(
        "dna", "commit", "--set", "score.cost_weight=0.9", "--branch", "other", "--message", "A thriftier policy"
    )
    before = _live(platform)
    load = Load.start(platform.url, platform.key, rate=_RATE, seconds=_SECONDS, out=scratch / "exchange.jsonl")
    time.sleep(_PAUSE_S)
    versions, moments = {before}, []
    for number in range(_SWAPS):
        asked_s = time.time()
        if number % 2 == 0:
            platform.request("POST", "/api/v1/dna/promote", {"ref": "other"})
        else:
            platform.request("POST", "/api/v1/dna/rollback", {})
        now = _live(platform)
        versions.add(now)
        moments.append((asked_s, now))
        time.sleep(_PAUSE_S)
    sent = load.wait()
    name = "exchange: from asking until the last request with the old version, slowest of four"
    yield Bar(name, _slowest(sent, moments), "s", Limit("<=", 1))
    yield Bar("exchange: failed requests", len(failures(sent, note)), f"of {len(sent)}", Limit("=", 0))
    mixed = sum((one.dna, one.snapshot) not in versions for one in sent if one.is_ok)
    yield Bar("exchange: mixed requests", mixed, f"of {len(sent)}", Limit("=", 0))
    yield Bar("exchange: rate reached", len(sent) / (sent[-1].at_s - sent[0].at_s), "requests/s")


def _live(platform: Platform) -> tuple[str, str]:
    view = platform.request("GET", "/api/v1/dna/live")
    return view["dna_hash"][:12], view["snapshot_hash"][:12]


def _slowest(sent: Sequence[Sent], moments: Sequence[tuple[float, tuple[str, str]]]) -> float:
    """The longest time after asking for an exchange for which requests still saw the old version on some replica."""
    slowest = 0.0
    for number, (moment_s, version) in enumerate(moments):
        until_s = moments[number + 1][0] - _PAUSE_S / 2 if number + 1 < len(moments) else float("inf")
        late = [
            one.at_s - moment_s
            for one in sent
            if one.is_ok and moment_s < one.at_s < until_s and (one.dna, one.snapshot) != version
        ]
        slowest = max([slowest, *late])
    return slowest


def failures(sent: Sequence[Sent], note: Callable[[str], None]) -> Sequence[Sent]:
    """The requests that failed; the first few are told."""
    failed = [one for one in sent if not one.is_ok]
    for one in failed[:3]:
        note(f"  failed: {one.status} {one.error[:120]}")
    return failed
