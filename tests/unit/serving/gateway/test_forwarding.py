"""What a replica passes on: checked against the table of access first, whole, and refused when control is away."""

import asyncio

from evolving_ai._common.clock import ManualClock
from evolving_ai.domain.identity import Principal, Role
from evolving_ai.errors import PlatformError
from evolving_ai.serving.envelope import Envelope, pack, unpack
from evolving_ai.serving.gateway.app import GatewayApp
from evolving_ai.serving.gateway.forwarding import add_forwarding
from tests.doubles.asgi_exchange import HttpAnswer, ask
from tests.doubles.gateway_fakes import FakeKeyRing
from tests.doubles.gateway_world import GatewayWorld

KEYS = {f"sk-{role.name.lower()}": Principal(f"key-{role.name.lower()}", "acme", role) for role in Role}


class FakeControl:
    """Answers every request alike, and keeps it."""

    def __init__(self) -> None:
        self.is_away = False
        self.asked: list[Envelope] = []

    async def call(self, method: str, payload: bytes, *, timeout_s: float = 10.0) -> bytes:
        if self.is_away:
            raise PlatformError("control is away")
        assert method == "http"
        self.asked.append(unpack(payload))
        headers = [("content-type", "application/json"), ("content-length", "2"), ("x-more", "1")]
        return pack({"status": 201, "headers": headers}, b"{}")


def asked(control: FakeControl, method: str, path: str, role: str | None, body: bytes = b"") -> HttpAnswer:
    clock = ManualClock()
    app = GatewayApp(GatewayWorld(clock).path, FakeKeyRing(KEYS), clock, max_body_bytes=1000)
    add_forwarding(app, control, is_replay=False)
    headers = {"content-type": "application/json", "cookie": "private", "accept": "text/plain"}
    if role is not None:
        headers["authorization"] = f"Bearer sk-{role}"
    return asyncio.run(ask(app, method, path, body, headers=headers))


def test_a_request_is_passed_on_whole_with_its_principal_but_not_its_secret() -> None:
    control = FakeControl()
    answer = asked(control, "POST", "/api/v1/keys", "admin", b'{"a": 1}')

    assert (answer.status, answer.body, answer.headers["x-more"]) == (201, b"{}", "1")
    assert answer.headers["content-length"] == "2"
    ((head, body),) = control.asked
    assert (head["method"], head["path"], body) == ("POST", "/api/v1/keys", b'{"a": 1}')
    assert head["principal"] == {"key_id": "key-admin", "tenant": "acme", "role": int(Role.ADMIN)}
    assert head["request_id"] == answer.headers["x-request-id"]
    assert sorted(name for name, _ in head["headers"]) == ["accept", "content-type"]


def test_what_a_role_may_not_do_never_reaches_control() -> None:
    control = FakeControl()
    answer = asked(control, "POST", "/api/v1/keys", "operator")
    assert (answer.status, answer.json["error"]["code"]) == (403, "permission_denied")
    assert asked(control, "GET", "/api/v1/nothing", "admin").status == 404
    assert asked(control, "GET", "/api/v1/keys", None).status == 401
    assert control.asked == []


def test_the_openapi_document_is_for_everybody() -> None:
    control = FakeControl()
    assert asked(control, "GET", "/api/v1/openapi.json", None).status == 201
    assert control.asked[0].head["principal"] is None


def test_without_control_the_answer_says_that_models_can_still_be_used() -> None:
    control = FakeControl()
    control.is_away = True
    answer = asked(control, "GET", "/api/v1/dna/live", "viewer")
    assert (answer.status, answer.json["error"]["code"]) == (503, "control_unavailable")
    assert "models can be used" in answer.json["error"]["message"]
    assert (answer.headers["retry-after"], answer.headers["x-should-retry"]) == ("2", "true")


def test_a_body_over_the_limit_is_refused_before_it_is_passed_on() -> None:
    control = FakeControl()
    assert asked(control, "POST", "/api/v1/keys", "admin", b"x" * 1001).status == 413
    assert control.asked == []
