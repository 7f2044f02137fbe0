"""A steady load on one URL, and what became of each request.

    python -m experiments.benchmarks.serving.load URL --rate 1000 --seconds 10 --out FILE [--new-connections]

Open loop: request i is due at i / rate, whether or not those before have been answered, so a server that stands still
is seen to stand still. A line of JSON for each request, written when all are over. Its own process, so that it neither
shares a core's interpreter with what is measured nor waits for it.
"""

import argparse
import asyncio
import json
import os
import subprocess  # nosec B404 - starts itself
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp

__all__ = ["Load", "Sent"]

_ROOT = Path(__file__).parents[3]
_TIMEOUT_S = 30.0
_BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello, how are you today?"}]}


@dataclass(frozen=True, slots=True)
class Sent:
    """One request. `at_s` is when it was due, in seconds since the epoch; `status` 0: no answer came (`error` says)."""

    at_s: float
    latency_s: float
    status: int
    dna: str
    snapshot: str
    target: str
    decision_id: str
    error: str

    @property
    def is_ok(self) -> bool:
        return self.status == 200


class Load:
    """A load that runs in the background."""

    def __init__(self, process: "subprocess.Popen[bytes]", out: Path) -> None:
        self._process = process
        self._out = out

    @classmethod
    def start(
        cls, url: str, key: str, *, rate: float, seconds: float, out: Path, new_connections: bool = False
    ) -> "Load":
        """Begin to send to `url` (which ends before /v1)."""
        command = [sys.executable, "-m", "experiments.benchmarks.serving.load", url, "--rate", str(rate)]
        command += ["--seconds", str(seconds), "--out", str(out)]
        if new_connections:
            command.append("--new-connections")
        environment = {**os.environ, "LOAD_KEY": key}
        process = subprocess.Popen(command, cwd=_ROOT, env=environment)  # noqa: S603 # nosec B603 - our own module
        return cls(process, out)

    def wait(self) -> Sequence[Sent]:
        """Every request, in the order in which they were due."""
        if self._process.wait() != 0:
            raise RuntimeError("the load generator failed: its reason stands above")
        lines = self._out.read_text(encoding="utf-8").splitlines()
        return sorted((Sent(**json.loads(line)) for line in lines), key=lambda sent: sent.at_s)

    def stop(self) -> None:
        """End it early."""
        self._process.terminate()
        self._process.wait()


async def _send_all(url: str, key: str, rate: float, seconds: float, *, new_connections: bool) -> list[Sent]:
    connector = aiohttp.TCPConnector(limit=0, force_close=new_connections)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    sent: list[Sent] = []
    async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout) as session:
        start_s, epoch_s = time.perf_counter(), time.time()
        async with asyncio.TaskGroup() as group:
            for number in range(int(rate * seconds)):
                due_s = number / rate
                ahead_s = due_s - (time.perf_counter() - start_s)
                if ahead_s > 0:
                    await asyncio.sleep(ahead_s)
                group.create_task(_send(session, f"{url}/v1/chat/completions", epoch_s + due_s, sent))
    return sent


async def _send(session: aiohttp.ClientSession, url: str, at_s: float, sent: list[Sent]) -> None:
    begin_s = time.perf_counter()
    status, error = 0, ""
    names: Mapping[str, str] = {}
    try:
        async with session.post(url, json=_BODY) as response:
            body = await response.read()
            status, names = response.status, response.headers
            error = "" if status == 200 else body[:200].decode("utf-8", "replace")
    except (aiohttp.ClientError, TimeoutError) as exc:
        error = f"{type(exc).__name__}: {exc}"[:200]
    sent.append(_outcome(at_s, time.perf_counter() - begin_s, status, names, error))


def _outcome(at_s: float, latency_s: float, status: int, names: Mapping[str, str], error: str) -> Sent:
    return Sent(
        at_s,
        latency_s,
        status,
        names.get("x-evolving-dna", ""),
        names.get("x-evolving-snapshot", ""),
        names.get("x-evolving-target", ""),
        names.get("x-request-id", ""),
        error,
    )


def main() -> None:
    """Send, then write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--new-connections", action="store_true")
    given = parser.parse_args()
    key = os.environ["LOAD_KEY"]
    sending = _send_all(given.url, key, given.rate, given.seconds, new_connections=given.new_connections)
    sent = asyncio.run(sending)
    given.out.write_text("".join(json.dumps(asdict(one)) + "\n" for one in sent), encoding="utf-8")


if __name__ == "__main__":
    main()
