"""Twenty campaigns at once on one installation: whether all end, how fairly they share, what serving feels of them."""

import contextlib
import json
import math
import os
import subprocess  # nosec B404 - runs our own command line
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import yaml

from evolving_ai._common.processes import memory_bytes
from evolving_ai.decision.outcome_table import load_requests
from evolving_ai.errors import PlatformError
from evolving_ai.evolution.folder import campaign_folders
from evolving_ai.wiring.campaigns import campaigns_path, runner_of
from evolving_ai.wiring.replay_source import bundled_table
from experiments.benchmarks.bar import Bar, Limit
from experiments.benchmarks.serving.load import Load, Sent
from experiments.benchmarks.serving.platform import ALIAS
from experiments.benchmarks.serving.upstream import free_port

__all__ = ["campaign_bars"]

_CAMPAIGNS = 20
_ITERATIONS = 24
_RATE = 50.0
_ALONE_S = 8.0
_MEANWHILE_S = 40.0
_LOOK_EVERY_S = 0.25
_LONGEST_S = 900.0
_REQUEST_S = 300.0
_KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "XAI_API_KEY", "MISTRAL_API_KEY")

Campaigns = Mapping[str, Mapping[str, Any]]


def campaign_bars() -> tuple[Bar, ...]:
    """Start an installation, let it evolve and serve at once, and end it: the figures.

    Finishing times count from the moment at which all were asked for. PlatformError when the platform does not start,
    or a campaign does not.
    """
    with tempfile.TemporaryDirectory(prefix="eac") as scratch, _running(Path(scratch) / "home") as home:
        alone = _load(home, _ALONE_S).wait()
        load = _load(home, _MEANWHILE_S)
        try:
            seen = _run_campaigns(home)
            meanwhile = [one for one in load.wait() if one.at_s < seen.ended_at_s]
        finally:
            load.stop()
    return (*_fairness_bars(seen), *_serving_bars(alone, meanwhile))


@dataclass
class _Seen:
    """What was seen of all campaigns. Times are seconds since all were asked for; memory is bytes a process (PSS)."""

    finished_s: dict[str, float] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    had_progress: int = 0
    began_s: float = 0.0
    memory_bytes: float = 0.0
    ended_at_s: float = 0.0


def _run_campaigns(home: Path) -> _Seen:
    """Ask for all at once, and look until all are over."""
    seen, start_s, pause = _Seen(), time.monotonic(), threading.Event()
    give_up_s = start_s + _LONGEST_S
    with _client(home) as client, ThreadPoolExecutor(_CAMPAIGNS) as starting:
        asked = [starting.submit(_start, client, seed) for seed in range(_CAMPAIGNS)]
        while len(seen.finished_s) < _CAMPAIGNS and time.monotonic() < give_up_s:
            _look(client, seen, start_s)
            seen.memory_bytes = max(seen.memory_bytes, _memory_bytes(home))
            if not seen.began_s and all(each.done() for each in asked):
                seen.began_s = time.monotonic() - start_s
            pause.wait(_LOOK_EVERY_S)
        for each in asked:
            each.result()
    seen.ended_at_s = time.time()
    return seen


def _start(client: httpx.Client, seed: int) -> None:
    body = {"max_iterations": _ITERATIONS, "seed": seed}
    answer = client.post("/api/v1/evolution/start", json=body)
    if answer.status_code != 202:
        raise PlatformError(f"a campaign was not started: {answer.status_code} {answer.text[:300]}")


def _look(client: httpx.Client, seen: _Seen, start_s: float) -> None:
    campaigns = client.get("/api/v1/evolution/campaigns").raise_for_status().json()["campaigns"]
    over = [each for each in campaigns if each["state"] not in ("created", "running")]
    if over and not seen.finished_s:
        seen.had_progress = sum(each["iterations"] > 0 for each in campaigns)
    for each in over:
        seen.finished_s.setdefault(each["id"], time.monotonic() - start_s)
        seen.states[each["id"]] = each["state"]


def _memory_bytes(home: Path) -> float:
    """The mean over the processes of all campaigns that run, once they all do."""
    runners = [runner_of(folder) for folder in campaign_folders(campaigns_path(home))]
    used = [
        memory_bytes(int(runner.split()[1])) or 0 for runner in runners if runner is not None and "process " in runner
    ]
    return sum(used) / len(used) if len(used) == _CAMPAIGNS else 0.0


def _fairness_bars(seen: _Seen) -> Sequence[Bar]:
    ended = sum(state == "budget_exhausted" for state in seen.states.values())
    times = sorted(seen.finished_s.values()) or [math.nan]
    of_all = f"of {_CAMPAIGNS}"
    return (
        Bar("campaigns: started at once and ended well", ended, of_all, Limit("=", _CAMPAIGNS)),
        Bar("campaigns: had results when the first ended", seen.had_progress, of_all, Limit("=", _CAMPAIGNS)),
        Bar("campaigns: slowest finishing time over fastest", times[-1] / times[0], "times", Limit("<=", 2)),
        Bar("campaigns: slowest until it had begun", seen.began_s, "s"),
        Bar("campaigns: slowest until it had ended", times[-1], "s"),
        Bar("campaigns: memory of a process, mean at most (PSS)", seen.memory_bytes / 2**20, "MiB"),
    )


def _serving_bars(alone: Sequence[Sent], meanwhile: Sequence[Sent]) -> Sequence[Bar]:
    failed = sum(not one.is_ok for one in meanwhile)
    return (
        Bar("campaigns: gateway's p99 before, 50 requests/s", _p99_ms(alone), "ms"),
        Bar("campaigns: gateway's p99 meanwhile, 50 requests/s", _p99_ms(meanwhile), "ms", Limit("<", 1000)),
        Bar("campaigns: failed requests meanwhile", failed, f"of {len(meanwhile)}", Limit("=", 0)),
    )


def _p99_ms(sent: Sequence[Sent]) -> float:
    return float(np.quantile([one.latency_s for one in sent], 0.99)) * 1000


# --- The installation -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _running(home: Path) -> Iterator[Path]:
    """A home whose platform answers from recorded outcomes at once, on a free port."""
    home.mkdir(mode=0o700)
    models = load_requests(bundled_table(), split="train").models
    config = {"port": free_port(), "replay": {"latency_scale": 0}, "aliases": {ALIAS: list(models)}}
    (home / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    _command(home, "up", "--detach")
    try:
        yield home
    finally:
        _command(home, "down")


def _command(home: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "evolving_ai.cli.entry", *arguments, "--home", str(home)]
    environment = {name: value for name, value in os.environ.items() if name not in _KEYS}
    done = subprocess.run(  # noqa: S603 # nosec B603 - our own command line
        command, capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode != 0:
        raise PlatformError(f"{' '.join(arguments)} failed: {done.stderr.strip()[-500:]}")


def _client(home: Path) -> httpx.Client:
    headers = {"Authorization": f"Bearer {_admin_key(home)}"}
    limits = httpx.Limits(max_connections=None)
    return httpx.Client(base_url=_url(home), headers=headers, timeout=_REQUEST_S, limits=limits, trust_env=False)


def _load(home: Path, seconds: float) -> Load:
    return Load.start(_url(home), _admin_key(home), rate=_RATE, seconds=seconds, out=home.parent / "load.jsonl")


def _admin_key(home: Path) -> str:
    return (home / "admin.token").read_text(encoding="utf-8").strip()


def _url(home: Path) -> str:
    url: str = json.loads((home / "run.json").read_bytes())["url"]
    return url
