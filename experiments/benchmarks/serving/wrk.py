"""wrk, the load generator for throughput: one thread, closed loop, a chat completion over and over."""

import os
import re
import subprocess  # nosec B404 - runs wrk
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from experiments.benchmarks.serving.debian import require_command

__all__ = ["Throughput", "measure"]

_SCRIPT = """
wrk.method = "POST"
wrk.body = '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello, how are you today?"}]}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer " .. os.getenv("KEY")
"""
_UNITS: Mapping[str, float] = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


@dataclass(frozen=True, slots=True)
class Throughput:
    """What wrk saw. `failed` counts answers other than 2xx and errors of sockets."""

    requests_per_s: float
    p50_s: float
    p99_s: float
    failed: int


def measure(url: str, key: str, scratch: Path, *, connections: int, seconds: int, warm_s: int = 3) -> Throughput:
    """Load `url` (which ends before /v1) after a warm-up. DataError when wrk is not installed."""
    require_command("wrk", "wrk")
    script = scratch / "chat.lua"
    script.write_text(_SCRIPT, encoding="utf-8")
    _run(url, key, script, connections, warm_s)
    return _read(_run(url, key, script, connections, seconds))


def _run(url: str, key: str, script: Path, connections: int, seconds: int) -> str:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), "--latency"]
    done = subprocess.run(  # noqa: S603 # nosec B603 - wrk with our own script
        [*command, f"{url}/v1/chat/completions"],
        env={**os.environ, "KEY": key},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def _read(text: str) -> Throughput:
    def found(pattern: str) -> str | None:
        match = re.search(pattern, text)
        return match.group(1) if match else None

    def duration(pattern: str) -> float:
        match = re.search(pattern + r"\s+([\d.]+)(us|ms|s|m)\b", text)
        return float("nan") if match is None else float(match.group(1)) * _UNITS[match.group(2)]

    sockets = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    failed = int(found(r"Non-2xx or 3xx responses: (\d+)") or 0)
    failed += sum(map(int, sockets.groups())) if sockets else 0
    return Throughput(float(found(r"Requests/sec:\s+([\d.]+)") or 0), duration(r"50%"), duration(r"99%"), failed)
