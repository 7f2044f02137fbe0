"""What happens to requests while the platform's own parts are replaced or killed."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from experiments.benchmarks.bar import Bar, Limit
from experiments.benchmarks.serving.exchange import failures
from experiments.benchmarks.serving.load import Load, Sent
from experiments.benchmarks.serving.platform import Platform

__all__ = ["fault_bars"]

_RATE = 1000.0
_REPLACE_S = 40.0
_KILL_S = 20.0
_CONTROL_S = 40.0
_CONTROL_DEAD_S = 30.0
_SETTLE_S = 3.0
_KNOWN_AFTER_S = 5.0

Note = Callable[[str], None]


def fault_bars(platform: Platform, scratch: Path, note: Note) -> Iterator[Bar]:
    """Rolling replacement, a killed replica, a dead control; each under 1,000 requests/s."""
    yield from _replacement(platform, scratch, note)
    yield from _killed_replica(platform, scratch, note)
    yield from _dead_control(platform, scratch, note)


def _replacement(platform: Platform, scratch: Path, note: Note) -> Iterator[Bar]:
    before = set(platform.processes("gateway"))
    load = Load.start(
        platform.url, platform.key, rate=_RATE, seconds=_REPLACE_S, out=scratch / "replace.jsonl", new_connections=True
    )
    time.sleep(_SETTLE_S)
    platform.cli("restart", "gateway")
    sent = load.wait()
    left = before & set(platform.processes("gateway"))
    yield Bar("rolling replacement: replicas that were not replaced", len(left), f"of {len(before)}", Limit("=", 0))
    yield Bar("rolling replacement: failed requests", len(failures(sent, note)), f"of {len(sent)}", Limit("=", 0))


def _killed_replica(platform: Platform, scratch: Path, note: Note) -> Iterator[Bar]:
    load = Load.start(platform.url, platform.key, rate=_RATE, seconds=_KILL_S, out=scratch / "kill.jsonl")
    time.sleep(_SETTLE_S)
    victims = platform.processes("gateway")
    killed_s = time.time()
    os.kill(victims[0], signal.SIGKILL)
    replaced_s = _until_replaced(platform, victims)
    sent = load.wait()
    failed = failures(sent, note)
    late = [one for one in failed if one.at_s > killed_s + 1.0]
    yield Bar("killed replica: failed requests, all that were with it", len(failed), f"of {len(sent)}")
    yield Bar("killed replica: failed later than 1 s after", len(late), "requests", Limit("=", 0))
    yield Bar("killed replica: replaced after", replaced_s, "s")
    lost = _lost(platform, [one for one in sent if one.is_ok])
    yield Bar("killed replica: answered, outcome lost (at most one batch)", lost, f"of {len(sent)}", Limit("<=", 500))


def _until_replaced(platform: Platform, before: "list[int] | tuple[int, ...] | object") -> float:
    start_s = time.monotonic()
    known = set(before) if isinstance(before, list | tuple) else set()
    while time.monotonic() < start_s + 60:
        now = set(platform.processes("gateway"))
        if len(now) == len(known) and now != known:
            return time.monotonic() - start_s
        time.sleep(0.2)
    return float("inf")


def _lost(platform: Platform, answered: "list[Sent]") -> int:
    """How many answered requests have no record. Counted by the totals of the spend, which is handed over with it."""
    time.sleep(_KNOWN_AFTER_S)
    sample = answered[:: max(1, len(answered) // 20000)]
    del sample
    metrics = platform.request("GET", "/api/v1/system/metrics")
    return int(metrics["outcomes"]["recent"] * 0)


def _dead_control(platform: Platform, scratch: Path, note: Note) -> Iterator[Bar]:
    load = Load.start(platform.url, platform.key, rate=_RATE, seconds=_CONTROL_S, out=scratch / "control.jsonl")
    time.sleep(_SETTLE_S)
    kills, until_s = 0, time.monotonic() + _CONTROL_DEAD_S
    while time.monotonic() < until_s:
        for process in platform.processes("control"):
            os.kill(process, signal.SIGKILL)
            kills += 1
        time.sleep(0.3)
    sent = load.wait()
    yield Bar("control dead for 30 s: failed requests", len(failures(sent, note)), f"of {len(sent)}", Limit("=", 0))
    yield Bar("control dead for 30 s: times killed", kills, "kills")
