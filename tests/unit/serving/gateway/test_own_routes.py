"""The routes that a replica answers itself, over a scripted world."""

import asyncio
from typing import Any

import pytest

from evolving_ai._common.clock import ManualClock
from evolving_ai.domain.outcome import AttemptResult
from evolving_ai.serving.api.ai import ChatAnswer, CompletionAnswer, ProvidersView, RouteAnswer
from evolving_ai.serving.gateway.app import GatewayApp
from evolving_ai.serving.gateway.own_routes import add_own_routes
from evolving_ai.serving.gateway.state import ReplicaState
from tests.doubles.asgi_exchange import HttpAnswer, ask
from tests.doubles.gateway_fakes import VIEWER, Fails, FakeKeyRing, target_of
from tests.doubles.gateway_world import GatewayWorld

HELLO = [{"role": "user", "content": "Hello"}]


class FakeState(ReplicaState):
    """What health says of a replica."""

    def __init__(self, control_is_there: bool = True) -> None:
        self.replica = "gw-1"
        self.control_is_there = control_is_there


class Scene:
    """A replica's own routes with one key."""

    def __init__(self, *, control_is_there: bool = True, **world: Any) -> None:
        self.world = GatewayWorld(ManualClock(), **world)
        self.app = GatewayApp(self.world.path, FakeKeyRing({"sk": VIEWER}), self.world.clock, max_body_bytes=10_000)
        add_own_routes(self.app, FakeState(control_is_there), is_replay=False, environment={"SET": "x"})

    def ask(self, method: str, path: str, body: Any = None, key: str | None = "sk") -> HttpAnswer:
        answer = asyncio.run(ask(self.app, method, path, body, key=key))
        self.world.assert_quiet()
        return answer


def test_a_chat_without_a_model_or_with_auto_optimize_is_decided_among_all() -> None:
    for body in ({}, {"model": None}, {"model": "p/two", "auto_optimize": True}):
        scene = Scene()
        answer = scene.ask("POST", "/api/v1/ai/chat", {"messages": HELLO, **body})
        assert ChatAnswer.model_validate(answer.json).target == "p/one"
        assert scene.world.outcome.requested_model == "auto"
    scene = Scene()
    named = scene.ask("POST", "/api/v1/ai/chat", {"messages": HELLO, "model": "p/two", "auto_optimize": False})
    assert named.json["target"] == "p/two"
    assert "auto_optimize" not in scene.world.provider.calls[0].body


def test_a_completion_is_a_chat_of_one_message() -> None:
    scene = Scene()
    answer = scene.ask("POST", "/api/v1/ai/completion", {"prompt": "Hello", "messages": 5, "temperature": 0.5})
    assert CompletionAnswer.model_validate(answer.json).text == "hello"
    (call,) = scene.world.provider.calls
    assert (call.body["messages"], call.body["temperature"]) == (HELLO, 0.5)
    assert "prompt" not in call.body


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("chat", {}),
        ("chat", {"messages": []}),
        ("chat", {"messages": "x"}),
        ("chat", {"messages": HELLO, "auto_optimize": "perhaps"}),
        ("chat", {"messages": HELLO, "stream": 3}),
        ("completion", {"prompt": ""}),
        ("completion", {"prompt": 5}),
        ("completion", {"prompt": "x", "stream": True}),
        ("completion", {"prompt": "x", "model": 5}),
        ("route", {}),
        ("route", {"prompt": "x", "more": 1}),
        ("route", {"messages": [{"role": 1}]}),
    ],
)
def test_a_body_of_another_form_is_the_callers_fault(path: str, body: dict[str, Any]) -> None:
    scene = Scene()
    answer = scene.ask("POST", f"/api/v1/ai/{path}", body)
    assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_request")
    assert scene.world.provider.calls == []


def test_a_preview_asks_nobody_and_records_nothing_but_is_admitted() -> None:
    scene = Scene()
    answer = scene.ask("POST", "/api/v1/ai/route", {"prompt": "Hello"})
    found = RouteAnswer.model_validate(answer.json)
    assert (found.chosen, [each.propensity for each in found.candidates]) == ("one", [1.0, 0.0, 0.0])
    assert (scene.world.provider.calls, scene.world.recorder.outcomes) == ([], [])
    assert scene.world.limiter.inside == {VIEWER.key_id: 0}

    scene.world.limiter.wait_s = 2.0
    refused = scene.ask("POST", "/api/v1/ai/route", {"prompt": "Hello"})
    assert (refused.status, refused.headers["retry-after"]) == (429, "2")


def test_providers_are_listed_with_prices_health_and_whether_their_key_is_there() -> None:
    targets = (
        target_of("p/one", api_key_env="UNSET"),
        target_of("p/two", api_key_env="UNSET"),
        target_of("q/one", api_key_env="SET"),
    )
    scene = Scene(targets=targets)
    scene.world.script("p/one", *[Fails.by(AttemptResult.SERVER_ERROR, status=500)] * 10)
    p, q = ProvidersView.model_validate(scene.ask("GET", "/api/v1/ai/providers").json).providers
    assert ((p.name, p.is_ready), (q.name, q.is_ready)) == (("p", False), ("q", True))
    assert [target.name for target in p.targets] == ["p/one", "p/two"]
    assert (p.targets[0].input_usd_per_million, p.targets[0].output_usd_per_million) == (0.15, 0.6)
    assert p.targets[0].breaker == "closed"


def test_health_needs_no_key_and_says_what_is_away() -> None:
    assert Scene().ask("GET", "/api/v1/system/health", key=None).json["status"] == "ok"
    away = Scene(control_is_there=False).ask("GET", "/api/v1/system/health", key=None)
    assert (away.status, away.json["status"], away.json["control"]) == (200, "degraded", False)
    starting = Scene()
    starting.world.path.policy = None
    answer = starting.ask("GET", "/api/v1/system/health", key=None)
    assert (answer.status, answer.json["status"], answer.json["live"]) == (503, "starting", None)
