"""The number of gateway replicas follows the load that they measure themselves."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.integration.serving.conftest import Platform, running, serve_document
from tests.integration.serving.http_load import HttpLoad

pytestmark = [pytest.mark.ray, pytest.mark.slow]

WITHIN_S = 60.0


async def until_there_are(platform: Platform, count: int) -> None:
    give_up = time.monotonic() + WITHIN_S
    while len(await asyncio.to_thread(platform.replicas, "gateway")) != count:
        assert time.monotonic() < give_up, f"there were never {count} replicas"
        await asyncio.sleep(0.2)


def test_replicas_come_with_a_load_and_go_with_it_and_no_request_is_lost(tmp_path: Path) -> None:
    document = serve_document()
    (gateway,) = next(each for each in document["applications"] if each["name"] == "gateway")["deployments"]
    gateway["autoscaling_config"] |= {
        "min_replicas": 1,
        "max_replicas": 3,
        "upscale_delay_s": 0.5,
        "downscale_delay_s": 1.0,
    }
    gateway["autoscaling_config"]["policy"]["policy_kwargs"] = {"target_in_flight": 5, "target_busy": 0.9}

    async def scenario(platform: Platform) -> list[HttpLoad]:
        await until_there_are(platform, 1)
        async with HttpLoad(platform.port, kept=2, fresh=1, pause_s=0.05) as trickle:
            async with HttpLoad(platform.port, kept=6, fresh=6, path="/sleep/0.3") as crowd:
                await until_there_are(platform, 3)
            await until_there_are(platform, 1)
        return [trickle, crowd]

    with running(tmp_path / "home", document) as platform:
        loads = asyncio.run(scenario(platform))

    assert [load.failed for load in loads] == [{}, {}]
    assert all(load.answered > 50 for load in loads)
