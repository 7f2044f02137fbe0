"""What happens to requests while the platform's own parts are replaced or killed."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from evolving_ai.stores.outcome_archive import OutcomeArchive
from evolving_ai.stores.sqlite.outcome_store import SqliteOutcomeStore
from experiments.benchmarks.bar import Bar, Limit
from experiments.benchmarks.serving.exchange import failures
from experiments.benchmarks.serving.load import Load
from experiments.benchmarks.serving.platform import TENANT, Platform

__all__ = ["budget_bars", "fault_bars", "lost_outcome_bar"]

_RATE = 1000.0
_REPLACE_S = 40.0
_KILL_S = 20.0
_CONTROL_S = 40.0
_CONTROL_DEAD_S = 30.0
_SETTLE_S = 3.0
_REPLACED_WITHIN_S = 60.0
_LARGEST_BATCH = 500
"""What one replica takes in one interval of 0.2 s at this rate, with room: one batch, and what was not one yet."""

Note = Callable[[str], None]


def fault_bars(platform: Platform, scratch: Path, note: Note, answered: list[str]) -> Iterator[Bar]:
    """Rolling replacement, a killed replica, a dead control; each under 1,000 requests/s.

    `answered` gets the decision ids that were answered around the kill: their outcomes are looked for later.
    """
    yield from _replacement(platform, scratch, note)
    yield from _killed_replica(platform, scratch, note, answered)
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


def _killed_replica(platform: Platform, scratch: Path, note: Note, answered: list[str]) -> Iterator[Bar]:
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
    answered.extend(one.decision_id for one in sent if one.is_ok)


def _until_replaced(platform: Platform, before: Sequence[int]) -> float:
    start_s = time.monotonic()
    while time.monotonic() < start_s + _REPLACED_WITHIN_S:
        now = set(platform.processes("gateway"))
        if len(now) == len(before) and now != set(before):
            return time.monotonic() - start_s
        time.sleep(0.2)
    return float("inf")


def _dead_control(platform: Platform, scratch: Path, note: Note) -> Iterator[Bar]:
    load = Load.start(platform.url, platform.key, rate=_RATE, seconds=_CONTROL_S, out=scratch / "control.jsonl")
    time.sleep(_SETTLE_S)
    kills, until_s = 0, time.monotonic() + _CONTROL_DEAD_S
    while time.monotonic() < until_s:
        for process in platform.processes("control"):
            with contextlib.suppress(ProcessLookupError):  # it is dead already
                os.kill(process, signal.SIGKILL)
                kills += 1
        time.sleep(0.3)
    sent = load.wait()
    yield Bar("control dead for 30 s: failed requests", len(failures(sent, note)), f"of {len(sent)}", Limit("=", 0))
    yield Bar("control dead for 30 s: times killed", kills, "kills")


def budget_bars(platform: Platform) -> Iterator[Bar]:
    """The invariant of every budget, after everything that was done to the platform."""
    for budget in platform.request("GET", "/api/v1/budgets")["budgets"]:
        spent = sum(float(budget[part]) for part in ("settled_usd", "leased_usd", "forfeited_usd"))
        kind = budget["scope"].partition(":")[0]
        name = f"after all faults: settled, leased and forfeited of the {kind}'s budget"
        yield Bar(name, spent, "USD", Limit("<=", float(budget["cap_usd"])))
    yield Bar(
        "after all faults: settled by the roll-up",
        float(platform.request("GET", f"/api/v1/budgets/cost?tenant={TENANT}")["total_usd"]),
        "USD",
    )


def lost_outcome_bar(home: Path, answered: Sequence[str]) -> Bar:
    """How many answered requests have no outcome, of a platform that has stopped."""
    store = SqliteOutcomeStore.open(home / "outcomes.db", OutcomeArchive(home / "outcomes"))
    with store:
        lost = sum(store.find(decision_id) is None for decision_id in answered)
    name = "killed replica: answered, but the outcome is lost (at most one unacknowledged batch)"
    return Bar(name, lost, f"of {len(answered)}", Limit("<=", _LARGEST_BATCH))
