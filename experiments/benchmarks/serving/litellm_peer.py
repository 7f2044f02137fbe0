"""LiteLLM's proxy as a peer: installed into a virtual environment of its own, one worker, the same upstream."""

import contextlib
import os
import subprocess  # nosec B404 - installs and starts the peer
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import yaml

from evolving_ai.errors import DataError
from experiments.benchmarks.serving.upstream import free_port

__all__ = ["LITELLM", "PEER_KEY", "litellm_proxy"]

LITELLM = "1.106.2"
PEER_KEY = "sk-bench"
_START_S = 120.0


def _installed() -> Path:
    """The folder of the peer's executables; installed once, and kept in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "evolving-ai" / f"litellm-{LITELLM}"
    executables = folder / "bin"
    if (executables / "litellm").exists() and (folder / "complete").exists():
        return executables
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)  # noqa: S603 # nosec B603 - no shell, our own arguments
    install = [str(executables / "pip"), "install", "--quiet", f"litellm[proxy]=={LITELLM}"]
    subprocess.run(install, check=True)  # noqa: S603 # nosec B603 - the version that is named above
    (folder / "complete").touch()
    return executables


@contextlib.contextmanager
def litellm_proxy(scratch: Path, upstream: str) -> Iterator[str]:
    """The URL of a running proxy, without /v1. DataError when it cannot be installed or started."""
    try:
        executables = _installed()
    except subprocess.CalledProcessError as exc:
        raise DataError(f"LiteLLM {LITELLM} cannot be installed: check the network") from exc
    port = free_port()
    config = scratch / "litellm.yaml"
    target = {"model": "openai/gpt-4o-mini", "api_base": upstream, "api_key": "sk-x"}
    document = {
        "model_list": [{"model_name": "gpt-4o-mini", "litellm_params": target}],
        "litellm_settings": {"telemetry": False, "num_retries": 0},
        "general_settings": {"master_key": PEER_KEY},
    }
    config.write_text(yaml.safe_dump(document), encoding="utf-8")
    command = [str(executables / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    with (scratch / "litellm.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 # nosec B603 - the peer
            [*command, "--num_workers", "1"], stdout=log, stderr=log, env=environment
        )
        try:
            _wait_for(f"http://127.0.0.1:{port}", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
    until_s = time.monotonic() + _START_S
    while time.monotonic() < until_s and process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            headers = {"Authorization": f"Bearer {PEER_KEY}"}
            if httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=10.0).is_success:
                return
        time.sleep(0.5)
    raise DataError("LiteLLM's proxy did not start: see litellm.log in the benchmark's folder")
