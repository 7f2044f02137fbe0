"""A platform for the tests of the SDK, and both clients behind one way to call."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from evolving_ai import EvolutionFramework, SyncEvolutionFramework
from tests.doubles.platform_server import PlatformServer, running_platform

Caller = Callable[..., Any]


@pytest.fixture(scope="module")
def shared() -> Iterator[PlatformServer]:
    with running_platform() as platform:
        yield platform


@pytest.fixture
def platform(shared: PlatformServer) -> Iterator[PlatformServer]:
    """The platform, with nothing seen and nothing scripted; whatever was scripted must have been used."""
    shared.reset()
    yield shared
    assert not shared.script, f"nobody asked for {shared.script}"


@pytest.fixture(params=["asynchronous", "synchronous"])
def call(request: pytest.FixtureRequest, platform: PlatformServer) -> Caller:
    """Makes one call on a framework of its own: `call(lambda framework: framework.ai.providers())`."""

    def blocking(action: Callable[[Any], Any], **options: Any) -> Any:
        with SyncEvolutionFramework("key", platform.url, **options) as framework:
            return action(framework)

    def awaited(action: Callable[[Any], Any], **options: Any) -> Any:
        async def main() -> Any:
            async with EvolutionFramework("key", platform.url, **options) as framework:
                return await action(framework)

        return asyncio.run(main())

    return blocking if request.param == "synchronous" else awaited
