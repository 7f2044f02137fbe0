"""Autoscaling by the gateway's own metrics: a load step up, a step down, and what became of the requests."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import yaml

from experiments.benchmarks.bar import Bar, Limit
from experiments.benchmarks.serving.exchange import failures
from experiments.benchmarks.serving.load import Load
from experiments.benchmarks.serving.platform import running_platform

__all__ = ["scaling_bars"]

_ROOT = Path(__file__).parents[3]
_MOST = 3
_LOW_RATE = 50.0
_HIGH_RATE = 1000.0
_HIGH_S = 45.0
_DOWN_WITHIN_S = 90.0
_EVERY_S = 0.5


def _scaling_config(folder: Path) -> Path:
    """dev.yaml with one to three replicas, quick to react, and a target that one core's load exceeds."""
    document = yaml.safe_load((_ROOT / "serve_configs" / "dev.yaml").read_text(encoding="utf-8"))
    (gateway,) = (each for each in document["applications"] if each["name"] == "gateway")
    scaling = gateway["deployments"][0]["autoscaling_config"]
    scaling |= {"min_replicas": 1, "max_replicas": _MOST, "upscale_delay_s": 2, "downscale_delay_s": 10}
    scaling["policy"]["policy_kwargs"] = {"target_in_flight": 8, "target_busy": 0.12}
    path = folder / "serve.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def scaling_bars(
    scratch: Path, upstream: str, table: Path, models: Sequence[str], note: Callable[[str], None]
) -> Iterator[Bar]:
    """1 -> 3 -> 1 replicas. A steady trickle is there all the time, so that requests meet every change."""
    scratch.mkdir()
    with running_platform(
        scratch / "platform", upstream, table, models, serve_config=_scaling_config(scratch)
    ) as platform:
        seconds = _HIGH_S + _DOWN_WITHIN_S
        trickle = Load.start(
            platform.url, platform.key, rate=_LOW_RATE, seconds=seconds, out=scratch / "low.jsonl", new_connections=True
        )
        step = Load.start(platform.url, platform.key, rate=_HIGH_RATE, seconds=_HIGH_S, out=scratch / "high.jsonl")
        start_s = time.monotonic()
        counts = []
        while time.monotonic() < start_s + seconds:
            counts.append(len(platform.processes("gateway")))
            if max(counts) == _MOST and counts[-1] == 1 and time.monotonic() > start_s + _HIGH_S:
                break
            time.sleep(_EVERY_S)
        took_s = time.monotonic() - start_s
        sent = [*step.wait(), *trickle.wait()]
    yield Bar("autoscaling: replicas at most", max(counts), "replicas", Limit("=", _MOST))
    yield Bar("autoscaling: replicas at the end", counts[-1], "replicas", Limit("=", 1))
    yield Bar("autoscaling: up and down again after", took_s, "s")
    yield Bar("autoscaling: failed requests", len(failures(sent, note)), f"of {len(sent)}", Limit("=", 0))
