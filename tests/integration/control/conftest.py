"""Installations without Ray for the tests of control: one process of replay providers, one prepared home to copy."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.installation import Installation, Providers, installed, made_home, replay_providers


@dataclasses.dataclass(frozen=True)
class World:
    """Providers, and a home of the test's own."""

    providers: Providers
    home: Path

    def run(self, test: Callable[[Installation], Awaitable[None]], **options: Any) -> None:
        """Run `test` in a running installation."""

        async def main() -> None:
            async with installed(self.home, **options) as installation:
                await test(installation)

        asyncio.run(main())


@pytest.fixture(scope="session")
def providers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Providers]:
    with replay_providers(tmp_path_factory.mktemp("replay")) as running:
        yield running


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, providers: Providers) -> Path:
    return made_home(tmp_path_factory.mktemp("template") / "home", providers, record_content=["recorded"])


@pytest.fixture
def world(tmp_path: Path, providers: Providers, template: Path) -> World:
    return World(providers, made_home(tmp_path / "home", providers, template=template))
