"""Where the supervisor can be asked: a Unix socket in its folder, for the owner of the home alone.

One JSON object a line, one answer a line: `{"ask": "status"}`, `{"ask": "redeploy", "application": "gateway"}`. So a
command needs neither to join Ray nor the dashboard to be there.
"""

import contextlib
import json
import socket
import socketserver
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evolving_ai.errors import EvolvingAIError, PlatformError
from evolving_ai.wiring.platform_state import PlatformState

__all__ = ["ask_supervisor", "desk_open", "redeploy"]

_NAME = "desk.sock"
_TIMEOUT_S = 30.0


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    cluster: Any = None


class _Handler(socketserver.StreamRequestHandler):
    timeout = _TIMEOUT_S
    server: _Server

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            question = json.loads(self.rfile.readline() or b"{}")
            self.wfile.write(json.dumps(_answer(self.server.cluster, question)).encode() + b"\n")


def _answer(cluster: Any, question: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        if question.get("ask") == "redeploy":
            cluster.redeploy(str(question.get("application")))
        return {"applications": [asdict(view) for view in cluster.status()]}
    except EvolvingAIError as exc:
        return {"error": str(exc)}


@contextlib.contextmanager
def desk_open(folder: Path, cluster: Any) -> Iterator[None]:
    """Answer questions about `cluster` inside the block."""
    with _Server(str(folder / _NAME), _Handler) as server:
        server.cluster = cluster
        thread = threading.Thread(target=server.serve_forever, name="desk", daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def ask_supervisor(state: PlatformState, question: Mapping[str, Any], *, timeout_s: float = _TIMEOUT_S) -> Any:
    """Its answer. PlatformError when it does not answer, or answers with an error."""
    try:
        with socket.socket(socket.AF_UNIX) as desk:
            desk.settimeout(timeout_s)
            desk.connect(str(Path(state.temp_dir) / _NAME))
            desk.sendall(json.dumps(question).encode() + b"\n")
            answer = json.loads(desk.makefile("rb").readline() or b"{}")
    except (OSError, ValueError) as exc:
        raise PlatformError(f"the platform (process {state.pid}) does not answer: {exc}") from exc
    if "applications" not in answer:
        raise PlatformError(str(answer.get("error", "the platform gave no answer: ask again")))
    return answer["applications"]


def redeploy(state: PlatformState, application: str) -> None:
    """Begin to replace every replica of an application (`gateway`), a new one before an old one."""
    ask_supervisor(state, {"ask": "redeploy", "application": application})
