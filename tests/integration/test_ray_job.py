"""A campaign submitted as a job to a running Ray: the documented command, on an instance of the test's own."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
CAMPAIGN = REPOSITORY / "experiments" / "campaigns" / "routing.yaml"
EVALUATIONS = 24
PROGRAMS = Path(sys.executable).parent
START_S = 90
STOP_S = 30

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@dataclass(frozen=True)
class Cluster:
    """A running head node: the address of its dashboard, and an environment that may talk to it."""

    dashboard: str
    environment: dict[str, str]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """`ray start --head` with a dashboard, on free ports of this machine, with a token and a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="evj"))  # Ray's sockets lie in it: their paths must be short
    ports = _free_ports(4)
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "EVOLVING_AI_HOME": str(tmp_path / "home"),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }
    options = {
        "node-ip-address": "127.0.0.1",
        "port": ports[0],
        "dashboard-host": "127.0.0.1",
        "dashboard-port": ports[1],
        "dashboard-agent-listen-port": ports[2],
        "ray-client-server-port": ports[3],
        "num-cpus": 2,
        "object-store-memory": 150 * 2**20,
        "temp-dir": folder,
    }
    command = [PROGRAMS / "ray", "start", "--head", "--block", "--disable-usage-stats"]
    head = subprocess.Popen(
        [*command, *(f"--{name}={value}" for name, value in options.items())],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        _wait_until_started(head)
        yield Cluster(f"http://127.0.0.1:{ports[1]}", environment)
    finally:
        _end(head)
        shutil.rmtree(folder, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _wait_until_started(head: subprocess.Popen[str]) -> None:
    assert head.stdout is not None
    for line in head.stdout:
        if "Ray runtime started" in line:
            return
    pytest.fail(f"ray start ended with {head.wait(STOP_S)}")


def _end(head: subprocess.Popen[str]) -> None:
    """End the head's whole session: Ray's processes belong to it."""
    head.send_signal(signal.SIGTERM)
    try:
        head.wait(STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(head.pid, signal.SIGKILL)
        head.wait(STOP_S)
    assert head.stdout is not None
    head.stdout.close()


def test_a_campaign_runs_as_a_ray_job(cluster: Cluster) -> None:
    entry = [PROGRAMS / "evolving-ai", "evolve", CAMPAIGN, "--evals", str(EVALUATIONS)]

    job = subprocess.run(
        [PROGRAMS / "ray", "job", "submit", "--address", cluster.dashboard, "--", *entry],
        env=cluster.environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert job.returncode == 0, job.stdout + job.stderr
    assert "succeeded" in job.stdout
    assert "evolved policy" in job.stdout
    listed = subprocess.run(
        [PROGRAMS / "evolving-ai", "campaign", "list", "--json"],
        env=cluster.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    (campaign,) = json.loads(listed.stdout)
    assert (campaign["state"], campaign["evaluations"]) == ("budget_exhausted", EVALUATIONS)
