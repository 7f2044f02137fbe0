"""The fixed upstream: nginx, which answers every request with the same chat completion, so that gateways are measured
and not models."""

import contextlib
import socket
import subprocess  # nosec B404 - starts nginx
import time
from collections.abc import Iterator
from pathlib import Path

from evolving_ai.errors import DataError
from experiments.benchmarks.serving.debian import require_command

__all__ = ["fixed_upstream", "free_port"]

_CONFIG = """
worker_processes 1;
daemon off;
error_log stderr;
pid %(folder)s/upstream.pid;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000;
  client_body_temp_path %(folder)s/body;
  proxy_temp_path %(folder)s/proxy;
  fastcgi_temp_path %(folder)s/fastcgi;
  uwsgi_temp_path %(folder)s/uwsgi;
  scgi_temp_path %(folder)s/scgi;
  server {
    listen 127.0.0.1:%(port)d;
    location / {
      default_type application/json;
      return 200 '%(answer)s';
    }
  }
}
"""
_ANSWER = (
    '{"id":"chatcmpl-abc123","object":"chat.completion","created":1700000000,"model":"gpt-4o-mini","choices":[{'
    '"index":0,"message":{"role":"assistant","content":"Hello! How can I help you today? This is a canned answer of a '
    'usual short length."},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":12,'
    '"completion_tokens":18,"total_tokens":30}}'
)


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def fixed_upstream(folder: Path) -> Iterator[str]:
    """The base URL of a running upstream, ending in /v1. DataError when nginx is not installed."""
    nginx = require_command("nginx", "nginx-light")
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = folder / "upstream.conf"
    config.write_text(_CONFIG % {"folder": folder, "port": port, "answer": _ANSWER}, encoding="utf-8")
    command = [nginx, "-p", str(folder), "-c", str(config)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:  # noqa: S603 # nosec B603 - nginx with our own file
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            process.wait()


def _wait_for(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise DataError("nginx did not start: run it by hand to see why")
