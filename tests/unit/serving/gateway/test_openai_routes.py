"""`/v1/models`: everything that a request may name, in OpenAI's form."""

from typing import Any

import pytest

from evolving_ai._common.clock import ManualClock
from evolving_ai.domain.identity import Principal, Role
from evolving_ai.router.catalog import Catalog
from evolving_ai.serving.gateway.app import Exchange, GatewayApp
from evolving_ai.serving.gateway.openai_routes import add_openai_routes, send_model
from tests.doubles.asgi_exchange import HttpAnswer, ask
from tests.doubles.gateway_fakes import FakeKeyRing, target_of
from tests.doubles.gateway_world import GatewayWorld
from tests.doubles.virtual_time import run_in_virtual_time

TARGETS = (target_of("a/one"), target_of("b/one"), target_of("a/two"))
KEYS = {"sk-1": Principal("key-1", "tenant-1", Role.VIEWER)}


def asked(method: str, path: str, *, is_replay: bool = False, is_empty: bool = False) -> HttpAnswer:
    async def main(clock: ManualClock) -> HttpAnswer:
        world = GatewayWorld(clock, TARGETS, aliases={"fast": ["two"]})
        if is_empty:
            world.path.catalog = Catalog((), {})
        app = GatewayApp(world.path, FakeKeyRing(KEYS), clock, max_body_bytes=1000)
        add_openai_routes(app, is_replay=is_replay)

        async def model(exchange: Exchange, _principal: Principal) -> None:
            await send_model(app, exchange, is_replay=is_replay)

        app.fallback = model
        return await ask(app, method, path, key="sk-1")

    return run_in_virtual_time(main)


def test_models_are_listed_as_openai_lists_them() -> None:
    answer = asked("GET", "/v1/models")

    assert answer.status == 200
    assert answer.json.keys() == {"object", "data"}
    assert answer.json["object"] == "list"
    entries = {entry["id"]: entry for entry in answer.json["data"]}
    assert list(entries) == ["auto", "fast", "one", "two", "a/one", "a/two", "b/one"]
    assert all(entry["object"] == "model" and type(entry["created"]) is int for entry in entries.values())
    assert entries["auto"]["owned_by"] == "evolving_ai"
    assert entries["one"]["owned_by"] == "evolving_ai"
    assert entries["two"]["owned_by"] == "a"
    assert entries["one"]["targets"] == ["a/one", "b/one"]
    assert not any("replay" in entry for entry in entries.values())


def test_replay_providers_say_that_they_are_such() -> None:
    assert all(
        "no model is called" in entry["replay"] for entry in asked("GET", "/v1/models", is_replay=True).json["data"]
    )
    assert "no model is called" in asked("GET", "/v1/models/auto", is_replay=True).json["replay"]


def test_without_targets_there_are_no_models() -> None:
    """Rule broken: what is listed can be asked for; an empty pool made the list itself a 404."""
    answer = asked("GET", "/v1/models", is_empty=True)

    assert (answer.status, answer.json["data"]) == (200, [])


@pytest.mark.parametrize("name", ["auto", "fast", "one", "b/one"])
def test_one_model_is_shown(name: str) -> None:
    answer = asked("GET", f"/v1/models/{name}")

    assert (answer.status, answer.json["id"]) == (200, name)
    assert answer.headers["x-request-id"].startswith("req-")


@pytest.mark.parametrize(
    ("method", "name", "expected"),
    [("GET", "nine", (404, "model_not_found")), ("DELETE", "one", (405, "method_not_allowed"))],
)
def test_what_is_not_there_or_not_done_is_refused(method: str, name: str, expected: Any) -> None:
    answer = asked(method, f"/v1/models/{name}")

    assert (answer.status, answer.json["error"]["code"]) == expected
