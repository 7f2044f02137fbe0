"""The SDK and the gateway's own HTTP surface understand each other: everything is real but providers and policy."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from evolving_ai import SyncEvolutionFramework
from evolving_ai._common.clock import SystemClock
from evolving_ai.domain.outcome import AttemptResult
from evolving_ai.errors import UpstreamError
from evolving_ai.sdk import (
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
)
from evolving_ai.serving.gateway.app import GatewayApp
from evolving_ai.serving.gateway.own_routes import add_own_routes
from tests.doubles.gateway_fakes import VIEWER, Fails, FakeKeyRing, Streams, content_part, role_part
from tests.doubles.gateway_world import GatewayWorld
from tests.doubles.platform_server import served

HELLO = [{"role": "user", "content": "Hello"}]


@dataclass
class Gateway:
    world: GatewayWorld
    url: str

    def framework(self, key: str = "sk-1") -> SyncEvolutionFramework:
        return SyncEvolutionFramework(key, self.url)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    clock = SystemClock()
    world = GatewayWorld(clock)
    app = GatewayApp(world.path, FakeKeyRing({"sk-1": VIEWER}), clock, max_body_bytes=10_000)
    state: Any = SimpleNamespace(replica="r-1", control_is_there=True)
    add_own_routes(app, state, is_replay=False, environment={})
    with served(app) as url:
        yield Gateway(world, url)
    world.assert_quiet()


def test_a_chat_is_answered_with_its_figures(gateway: Gateway) -> None:
    gateway.world.script("p/one", Fails.by(AttemptResult.SERVER_ERROR, status=500))
    with gateway.framework() as framework:
        result = framework.ai.chat(HELLO, temperature=0.1, tags=["a"])

    assert (result.text, result.target, result.model, result.attempts) == ("hello", "p/two", "two", 2)
    assert result.cost_usd == Decimal("0.000022")
    assert (result.usage.input_tokens, result.usage.output_tokens) == (12, 34)
    assert (result.dna, result.decision_id) == ("a" * 12, gateway.world.outcome.decision_id)
    assert gateway.world.outcome.tags == ("a",)


def test_a_stream_is_followed_to_its_figures(gateway: Gateway) -> None:
    with gateway.framework() as framework, framework.ai.chat(HELLO, stream=True) as stream:
        assert [chunk.text for chunk in stream if chunk.text] == ["hel", "lo"]
        result = stream.result

    assert (result.text, result.target, result.finish_reason) == ("hello", "p/one", "stop")
    assert (result.usage.input_tokens, result.usage.output_tokens) == (12, 34)
    assert result.cost_usd == Decimal("0.000022")
    assert result.decision_id == stream.decision_id == gateway.world.outcome.decision_id


def test_a_stream_that_a_provider_cuts_is_an_error(gateway: Gateway) -> None:
    cut = UpstreamError(AttemptResult.CONNECTION, "cut")
    gateway.world.script("p/one", Streams((role_part(), content_part("hel"), cut)))
    with gateway.framework() as framework, framework.ai.chat(HELLO, stream=True) as stream:
        with pytest.raises(UnavailableError, match="the answer broke off") as raised:
            stream.collect()
        assert raised.value.request_id == stream.decision_id != ""


def test_completion_route_and_providers(gateway: Gateway) -> None:
    with gateway.framework() as framework:
        assert framework.ai.completion("Count", model="p/two").target == "p/two"
        route = framework.ai.route(HELLO, model="two")
        assert (route.chosen, {c.model: c.score is not None for c in route.candidates}["one"]) == ("two", False)
        (provider,) = framework.ai.providers()
        assert [target.name for target in provider.targets] == ["p/one", "p/two", "p/three"]
        assert provider.targets[0].output_usd_per_million == 0.6
        assert framework.system.health().status == "ok"


def test_refusals_are_typed(gateway: Gateway) -> None:
    with gateway.framework() as framework:
        with pytest.raises(NotFoundError, match="the model 'nothing' does not exist"):
            framework.ai.chat(HELLO, model="nothing")
        with pytest.raises(InvalidRequestError, match="x-evolving-min-quality"):
            framework.ai.chat(HELLO, min_quality=2)
        with pytest.raises(InvalidRequestError, match="max_tokens"):
            framework.ai.chat(HELLO, max_tokens=0)
        with pytest.raises(PermissionDeniedError, match="only operators"):
            framework.ai.chat(HELLO, dna="abcd")
    with gateway.framework("sk-wrong") as framework, pytest.raises(AuthenticationError, match="not valid"):
        framework.ai.chat(HELLO)


def test_when_every_target_fails_it_is_unavailable_and_not_tried_again(gateway: Gateway) -> None:
    for target in ("p/one", "p/two", "p/three"):
        gateway.world.script(target, Fails.by(AttemptResult.SERVER_ERROR, status=500))
    with gateway.framework() as framework, pytest.raises(UnavailableError):
        framework.ai.chat(HELLO)
    assert len(gateway.world.provider.called) == 3
