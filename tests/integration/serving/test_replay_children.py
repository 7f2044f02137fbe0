"""The process of the replay providers, as the supervisor keeps it: killed, and started again at the same addresses."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evolving_ai._common.clock import ManualClock
from evolving_ai.serving.children import ReplayProviders, replay_providers

BACK_S = 20.0
MODELS = ("large", "small")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def providers(tmp_path: Path, clock: ManualClock) -> Iterator[ReplayProviders]:
    rows = [
        {"prompt": "Why?", "model": model, "score": 1.0, "prompt_tokens": 9, "completion_tokens": 3} for model in MODELS
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "table.parquet")
    log = tmp_path / "replay.log"
    with replay_providers(tmp_path, tmp_path / "table.parquet", 0.0, log, clock, lambda: None) as started:
        yield started


def kill(providers: ReplayProviders) -> None:
    """End the process as a crash does, and wait until that is so."""
    os.kill(providers.pid, signal.SIGKILL)
    os.waitid(os.P_PID, providers.pid, os.WEXITED | os.WNOWAIT)


def models_at(url: str) -> list[str]:
    """What answers at a base URL, as soon as something does."""
    give_up_s = time.monotonic() + BACK_S
    while time.monotonic() < give_up_s:
        with contextlib.suppress(httpx.ConnectError):
            return [model["id"] for model in httpx.get(f"{url}/models", trust_env=False).json()["data"]]
        time.sleep(0.02)
    pytest.fail(f"nothing answers at {url}")


def test_one_that_runs_is_left_alone(providers: ReplayProviders) -> None:
    process_id = providers.pid

    assert not providers.keep()
    assert providers.pid == process_id


def test_killed_ones_are_started_again_with_every_model_where_it_was(providers: ReplayProviders) -> None:
    process_id, urls = providers.pid, dict(providers.base_urls)
    kill(providers)

    assert providers.keep()

    assert providers.pid != process_id
    assert {model: models_at(url) for model, url in urls.items()} == {model: [model] for model in MODELS}


def test_one_that_ends_again_and_again_is_left_alone_for_longer_each_time(
    providers: ReplayProviders, clock: ManualClock
) -> None:
    assert [waited_s(providers, clock) for _ in range(4)] == [0.0, 1.0, 2.0, 4.0]


def waited_s(providers: ReplayProviders, clock: ManualClock) -> float:
    """For how long a process that has just been killed is not started again."""
    kill(providers)
    waited = 0.0
    while not providers.keep():
        clock.advance(0.5)
        waited += 0.5
    return waited


def test_one_that_ran_for_long_is_no_longer_left_alone(providers: ReplayProviders, clock: ManualClock) -> None:
    for _ in range(4):
        waited_s(providers, clock)
    clock.advance(61.0)
    assert not providers.keep()

    assert [waited_s(providers, clock) for _ in range(3)] == [0.0, 1.0, 2.0]
