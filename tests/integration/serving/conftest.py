"""A platform of stand-ins for the tests of a module, in each profile."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from evolving_ai.serving.config_files import find_serve_config
from evolving_ai.serving.supervisor_desk import ask_supervisor
from evolving_ai.wiring.platform_state import PlatformState, read_state

START_S = 100
STOP_S = 60
STANDINS = {"gateway": "StandInGateway", "control": "StandInControl", "decision": "StandInLearner"}

Document = dict[str, Any]


@dataclass(frozen=True)
class Platform:
    """A running platform of stand-ins."""

    home: Path
    process: subprocess.Popen[str]
    state: PlatformState

    @property
    def port(self) -> int:
        return self.state.port

    def replicas(self, application: str) -> list[int]:
        """The processes of the replicas that run."""
        return sorted(
            replica["pid"]
            for each in ask_supervisor(self.state, {"ask": "status"})
            if each["name"] == application
            for deployment in each["deployments"]
            for replica in deployment["replicas"]
            if replica["state"] == "RUNNING"
        )


def serve_document(**arguments: Document) -> Document:
    """`dev.yaml` with stand-ins; `arguments` are further `args` of an application."""
    document: Document = yaml.safe_load(find_serve_config("dev.yaml").read_text())
    for application in document["applications"]:
        name = application["name"]
        builder = f"tests.integration.serving.standins:{STANDINS[name]}"
        application["args"] = {"builder": builder, **arguments.get(name, {})}
    return document


def launch(home: Path, document: Document, **fields: Any) -> subprocess.Popen[str]:
    """Start a supervisor over stand-ins; it prints `ready` when it is healthy."""
    home.mkdir(parents=True, exist_ok=True)
    config = home / "serve.yaml"
    config.write_text(yaml.safe_dump(document))
    spec = {"home": str(home), "serve_config": str(config), "port": 0, "prepares": False, "has_dashboard": False}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.serving.supervised", json.dumps({**spec, **fields})],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "HOME": str(home)},
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """End a supervisor as `down` does: its exit code, and what it said on stderr."""
    process.send_signal(signal.SIGTERM)
    try:
        _, said = process.communicate(timeout=STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, said


@contextlib.contextmanager
def running(home: Path, document: Document, **fields: Any) -> Iterator[Platform]:
    """A platform of stand-ins, healthy inside the block."""
    process = launch(home, document, **fields)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("ready"):
            pytest.fail(f"the platform did not start: {process.communicate(timeout=STOP_S)[1]}")
        state = read_state(home)
        assert state is not None
        yield Platform(home, process, state)
    finally:
        if process.poll() is None:
            end(process)


@pytest.fixture(scope="module", params=["direct", "serve_ingress"])
def platform(request: pytest.FixtureRequest) -> Iterator[Platform]:
    """One platform for the tests of a module, in each profile."""
    with tempfile.TemporaryDirectory(prefix="evt") as folder:
        fields = {"profile": request.param, "port": free_port() if request.param != "direct" else 0}
        with running(Path(folder), serve_document(), **fields) as started:
            yield started


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def launched(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts supervisors that are ended with the test."""
    processes: list[subprocess.Popen[str]] = []

    def start(document: Document, **fields: Any) -> subprocess.Popen[str]:
        processes.append(launch(tmp_path / "home", document, **fields))
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            end(process)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
