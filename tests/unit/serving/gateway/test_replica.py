"""A replica as a whole: it starts from the disk alone, says when it is broken, and ends whatever is away."""

import asyncio
from pathlib import Path

import pytest

from evolving_ai.errors import DataError, PlatformError
from evolving_ai.serving.gateway.replica import build_gateway
from evolving_ai.wiring.prepare import prepare_home
from tests.unit.wiring.test_prepare import configure


class NoControl:
    """Control that is away, or, with `defect`, broken."""

    def __init__(self, defect: Exception | None = None) -> None:
        self.defect = defect

    async def call(self, method: str, payload: bytes, *, timeout_s: float = 10.0) -> bytes:
        raise self.defect or PlatformError("control is away")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    configure(tmp_path / "home", "one", "two")
    prepare_home(tmp_path / "home", replay_urls=None)
    return tmp_path / "home"


def test_a_replica_starts_checks_and_ends_without_control(home: Path) -> None:
    async def main() -> None:
        gateway = build_gateway(home, "gw-1", NoControl(), environment={})
        await gateway.start()
        gateway.check()
        assert gateway.stats() == {"answered": 0, "failed": 0, "in_flight": 0}
        assert dict(gateway.state.versions) == {"live": 1, "access": 1, "pool": 1}
        await gateway.drain()
        gateway.check()

    asyncio.run(main())


def test_a_loop_that_ended_is_a_reason_to_replace_the_replica(home: Path) -> None:
    async def main() -> None:
        control = NoControl()
        gateway = build_gateway(home, "gw-1", control, environment={})
        await gateway.start()
        control.defect = RuntimeError("a defect")
        await asyncio.sleep(0.01)  # its first turn
        with pytest.raises(PlatformError, match="a defect"):
            gateway.check()
        control.defect = None
        await gateway.drain()

    asyncio.run(main())


def test_a_home_that_was_never_prepared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected it after `evolving-ai up`"):
        build_gateway(tmp_path, "gw-1", NoControl(), environment={})
