"""An installation for a measurement: a home of its own, eight targets that all lead to the fixed upstream, one alias
over them, predictors fitted on recorded outcomes; started and stopped by the command line, as a user would."""

import contextlib
import json
import os
import subprocess  # nosec B404 - runs our own command line
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import yaml

from evolving_ai.errors import PlatformError
from experiments.benchmarks.serving.upstream import free_port

__all__ = ["ALIAS", "CAP_USD", "FITTED_GENES", "TENANT", "Platform", "running_platform"]

ALIAS = "gpt-4o-mini"
TENANT = "bench"
CAP_USD = "1000"
_TARGETS = 8
FITTED_GENES = {
    "quality.predictor": "blend",
    "quality.residual": "on",
    "cost.predictor": "linear",
    "score.cost_weight": 0.3,
}
"""A policy that reads the text of every prompt, so that deciding costs what it costs in earnest."""
_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Platform:
    """A running installation; `started_s` is how long it took until it was healthy.

    `key` is what traffic uses: a viewer's, with rate limits, under a budget of its own and one of its tenant.
    """

    home: Path
    url: str
    admin_key: str
    key: str
    started_s: float

    def cli(self, *arguments: str) -> Any:
        """What a command prints with --json. PlatformError when it fails."""
        return _cli(self.home, *arguments, "--json")

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """What the API answers. PlatformError for anything but success."""
        headers = {"Authorization": f"Bearer {self.admin_key}"}
        answer = httpx.request(method, self.url + path, json=body, headers=headers, timeout=_TIMEOUT_S)
        if answer.status_code >= 400:
            raise PlatformError(f"{method} {path} was answered {answer.status_code}: {answer.text[:300]}")
        return answer.json()

    def processes(self, kind: str) -> Sequence[int]:
        """The process ids of a deployment's replicas (`gateway`, `control`)."""
        status = self.cli("status")
        return [
            int(replica["pid"])
            for application in status["applications"]
            for deployment in application["deployments"]
            if deployment["name"] == kind
            for replica in deployment["replicas"]
            if replica["state"] == "RUNNING"
        ]


@contextlib.contextmanager
def running_platform(
    scratch: Path, upstream: str, table: Path, models: Sequence[str], *, serve_config: Path | None = None
) -> Iterator[Platform]:
    """Start, promote a fitted policy, stop. `models` are those of `table`; the first eight are served.

    `serve_config` is deployed instead of `serve_configs/dev.yaml`.
    """
    home, port = scratch / "home", free_port()
    home.mkdir(mode=0o700, parents=True)
    config = _config(upstream, table, models[:_TARGETS], port)
    (home / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    begin_s = time.monotonic()
    _cli(home, "up", "--detach", *(() if serve_config is None else ("--serve-config", str(serve_config))))
    started_s = time.monotonic() - begin_s
    try:
        admin_key = (home / "admin.token").read_text(encoding="utf-8").strip()
        platform = Platform(home, f"http://127.0.0.1:{port}", admin_key, "", started_s)
        platform = replace(platform, key=_traffic_key(platform))
        changes = [part for gene, value in FITTED_GENES.items() for part in ("--set", f"{gene}={value}")]
        _cli(home, "dna", "commit", *changes, "--message", "A policy that reads every prompt")
        platform.request("POST", "/api/v1/dna/promote", {"ref": "main"})
        yield platform
    finally:
        _cli(home, "down")


def _traffic_key(platform: Platform) -> str:
    """A key with everything on: limits that are not reached, and two budgets that are not spent."""
    asked = {"tenant": TENANT, "role": "viewer", "requests_per_minute": 9_000_000, "max_concurrent": 100_000}
    made = platform.request("POST", "/api/v1/keys", asked)
    for scope in (f"key:{made['id']}", f"tenant:{TENANT}"):
        platform.request("POST", "/api/v1/budgets", {"scope": scope, "cap_usd": CAP_USD, "window": "day"})
    secret: str = made["secret"]
    return secret


def _config(upstream: str, table: Path, models: Sequence[str], port: int) -> dict[str, Any]:
    price = {"input_usd_per_million": 0.2, "output_usd_per_million": 0.2}
    return {
        "port": port,
        "data": str(table),
        "providers": {"fixed": {"kind": "openai", "base_url": upstream}},
        "targets": [{"provider": "fixed", "model": model, "price": price} for model in models],
        "aliases": {ALIAS: list(models)},
    }


def _cli(home: Path, *arguments: str) -> Any:
    command = [sys.executable, "-m", "evolving_ai.cli.entry", *arguments, "--home", str(home)]
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    done = subprocess.run(  # noqa: S603 # nosec B603 - our own command line
        command, capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode != 0:
        raise PlatformError(f"{' '.join(arguments)} failed: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout) if "--json" in arguments else None
