"""One platform for all tests of this folder, in each profile; one at a time, because each takes over a gigabyte."""

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from evolving_ai.wiring.replay_source import bundled_table
from tests.integration.installation.installed import Installed, running
from tests.integration.installation.recording_upstream import RecordingUpstream, recording_upstream

BODY_LIMIT = 256 * 2**10
RECORDED = ("model", "score", "prompt_tokens", "completion_tokens")
PROFILES = ("direct", "serve_ingress")


@pytest.fixture(scope="package")
def upstream() -> Iterator[RecordingUpstream]:
    """A provider that keeps what it is sent."""
    with recording_upstream() as found:
        yield found


def settings_for(profile: str, upstream: RecordingUpstream) -> dict[str, Any]:
    """Replay providers in each profile; `configured`: two providers with keys, one of which is refused."""
    common = {"dashboard": True, "limits": {"max_body_bytes": BODY_LIMIT}}
    if profile != "configured":
        return {**common, "profile": profile, "replay": {"latency_scale": 0}}
    price = {"input_usd_per_million": "1", "output_usd_per_million": "2"}
    return {
        **common,
        "providers": {
            "good": {"base_url": f"{upstream.url}/v1", "api_key_env": "TEST_GOOD_KEY"},
            "refused": {"base_url": f"{upstream.url}/v1", "api_key_env": "TEST_REFUSED_KEY"},
        },
        "targets": [
            {"provider": "good", "model": "recorder", "price": price},
            {"provider": "refused", "model": "locked", "price": price},
        ],
    }


@pytest.fixture(scope="package", params=PROFILES)
def platform(request: pytest.FixtureRequest, upstream: RecordingUpstream) -> Iterator[Installed]:
    """A running platform; nothing is left of it afterwards."""
    extra = {"TEST_GOOD_KEY": upstream.good_key, "TEST_REFUSED_KEY": upstream.refused_key}
    # Sockets lie below the temporary folder, and their paths are bounded: its name is short.
    with (
        tempfile.TemporaryDirectory(prefix="eve") as folder,
        running(Path(folder) / "h", settings_for(request.param, upstream), port=free_port(), extra=extra) as started,
    ):
        yield started


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture(scope="session")
def table() -> list[dict[str, Any]]:
    """Two recorded outcomes of each model of the bundled table, short ones."""
    rows = pq.read_table(bundled_table(), columns=["prompt", *RECORDED]).to_pylist()
    found: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: len(row["prompt"]) + 5 * row["completion_tokens"]):
        if len(of_model := found.setdefault(row["model"], [])) < 2:
            of_model.append(row)
    return [row for of_model in found.values() for row in of_model]
