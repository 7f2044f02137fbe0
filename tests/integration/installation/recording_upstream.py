"""An OpenAI-compatible provider that keeps what it is sent and answers with tool calls; one of its keys is refused."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["RecordingUpstream", "recording_upstream"]

TOOL_CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}}
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


class RecordingUpstream:
    """Where it answers, what it takes as its key, and what it was sent: headers and body of each request."""

    def __init__(self) -> None:
        self.good_key = "good-provider-key-1234567890"
        self.refused_key = "refused-provider-key-1234567890"
        self.seen: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.url = ""


def _answers(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The answer, or the chunks of its stream."""
    head = {"id": "chatcmpl-1", "created": 1, "model": body["model"]}
    if not body.get("stream"):
        message = {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        yield {**head, "object": "chat.completion", "choices": [choice], "usage": USAGE}
        return
    head["object"] = "chat.completion.chunk"
    delta = {"role": "assistant", "tool_calls": [{"index": 0, **TOOL_CALL}]}
    yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    if (body.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": USAGE}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream: RecordingUpstream

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.upstream.seen.append(({name.lower(): value for name, value in self.headers.items()}, body))
        if self.headers["authorization"] != f"Bearer {self.upstream.good_key}":
            key = self.upstream.refused_key
            said = {"message": f"Incorrect API key provided: {key}", "type": "x", "code": "invalid_api_key"}
            self._send(401, "application/json", json.dumps({"error": said}).encode())
        elif body.get("stream"):
            events = [b"data: " + json.dumps(each).encode() + b"\n\n" for each in _answers(body)]
            self._send(200, "text/event-stream", b"".join([*events, b"data: [DONE]\n\n"]))
        else:
            self._send(200, "application/json", json.dumps(next(_answers(body))).encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: what it was sent is kept."""


@contextmanager
def recording_upstream() -> Iterator[RecordingUpstream]:
    """A provider on a free port of this machine."""
    upstream = RecordingUpstream()
    handler = type("Handler", (_Handler,), {"upstream": upstream})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        upstream.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield upstream
        finally:
            server.shutdown()
            thread.join()
