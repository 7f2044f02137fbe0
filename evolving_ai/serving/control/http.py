"""Requests that the gateway passed on, given to an ASGI application in this process."""

from typing import Any

from evolving_ai.domain.identity import Principal, Role
from evolving_ai.serving.envelope import Envelope, pack
from evolving_ai.serving.gateway.messages import Message, Receive, Scope, Send

__all__ = ["answer_envelope", "principal_json"]


def principal_json(principal: Principal | None) -> dict[str, Any] | None:
    """A principal as JSON."""
    if principal is None:
        return None
    return {"key_id": principal.key_id, "tenant": principal.tenant, "role": int(principal.role)}


def _principal(document: dict[str, Any] | None) -> Principal | None:
    if document is None:
        return None
    return Principal(document["key_id"], document["tenant"], Role(document["role"]))


async def answer_envelope(app: Any, request: Envelope) -> bytes:
    """Let `app` answer the request in an envelope; the answer is an envelope with `status` and `headers`."""
    head, body = request
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "http",
        "method": head["method"],
        "path": head["path"],
        "raw_path": head["path"].encode(),
        "query_string": head["query"].encode("latin-1"),
        "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in head["headers"]],
        "client": None,
        "server": None,
        "principal": _principal(head["principal"]),
        "request_id": head["request_id"],
    }
    sent: list[Message] = []
    await app(scope, _one_body(body), _into(sent))
    start = next(message for message in sent if message["type"] == "http.response.start")
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]]
    content = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
    return pack({"status": start["status"], "headers": headers}, content)


def _one_body(body: bytes) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


def _into(sent: list[Message]) -> Send:
    async def send(message: Message) -> None:
        sent.append(message)

    return send
