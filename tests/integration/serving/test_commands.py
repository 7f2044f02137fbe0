"""The commands `up`, `status`, `env`, `dashboard` and `down`, on the platform itself with its replay providers."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evolving_ai.wiring.platform_state import read_state

pytestmark = [pytest.mark.ray, pytest.mark.slow]

PROGRAMS = Path(sys.executable).parent
HEALTHY_WITHIN_S = 40.0


def run(home: Path, *arguments: str, check: bool = True, **extra: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "HOME": str(home.parent), "EVOLVING_AI_HOME": str(home), **extra}
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH"):
        if name not in extra:
            environment.pop(name, None)
    return subprocess.run(
        [PROGRAMS / arguments[0], *arguments[1:]],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=check,
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of a platform that `up --detach` started."""
    folder = tmp_path_factory.mktemp("commands") / "home"
    begun = time.monotonic()
    started = run(folder, "evolving-ai", "up", "--detach", "--port", "0", check=False)
    try:
        assert started.returncode == 0, started.stderr
        assert started.stdout == ""
        assert "starting Ray" in started.stderr
        assert time.monotonic() - begun < HEALTHY_WITHIN_S
        yield folder
    finally:
        run(folder, "evolving-ai", "down", check=False)


@pytest.fixture
def variables(home: Path) -> dict[str, str]:
    """What `evolving-ai env` says."""
    found: dict[str, str] = json.loads(run(home, "evolving-ai", "env", "--json").stdout)
    return found


def test_status_shows_deployments_replicas_and_memory(home: Path) -> None:
    begun = time.monotonic()
    found: dict[str, Any] = json.loads(run(home, "evolving-ai", "status", "--json").stdout)
    took = time.monotonic() - begun

    assert found["state"] == "running"
    assert {each["name"]: each["status"] for each in found["applications"]} == dict.fromkeys(
        ("control", "decision", "gateway"), "RUNNING"
    )
    assert found["memory"]["kinds"]["gateway"]["processes"] == 2
    assert found["memory"]["bytes"] == sum(kind["bytes"] for kind in found["memory"]["kinds"].values())
    assert 300 * 2**20 < found["memory"]["bytes"] < 4 * 2**30
    assert took < 5.0
    assert "gateway" in run(home, "evolving-ai", "status").stdout


def test_env_prints_what_a_shell_can_read(home: Path, variables: dict[str, str]) -> None:
    exports = run(home, "evolving-ai", "env").stdout
    shell = subprocess.run(
        ["/bin/sh", "-c", f'{exports}\nprintf %s "$OPENAI_BASE_URL $RAY_AUTH_TOKEN_PATH"'],
        capture_output=True,
        text=True,
        check=True,
    )
    state = read_state(home)

    assert state is not None
    assert shell.stdout == f"{state.url}/v1 {home / 'ray.token'}"
    assert variables["EVOLVING_AI_BASE_URL"] == state.url
    assert variables["OPENAI_API_KEY"] == variables["EVOLVING_AI_API_KEY"] == (home / "admin.token").read_text().strip()
    assert variables["RAY_ADDRESS"] == state.dashboard_url


def test_the_gateway_answers_with_what_env_says(variables: dict[str, str]) -> None:
    request = urllib.request.Request(  # noqa: S310 - our own address
        f"{variables['OPENAI_BASE_URL']}/models", headers={"authorization": f"Bearer {variables['OPENAI_API_KEY']}"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own address
        assert json.load(answer)["data"]


def test_the_dashboard_asks_for_the_token(home: Path) -> None:
    found = json.loads(run(home, "evolving-ai", "dashboard", "--json").stdout)
    token = Path(found["token_path"]).read_text()
    url = f"{found['url']}/api/version"

    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url, timeout=10)  # noqa: S310 - our own address
    refused.value.close()
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {token}"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        assert answer.status == 200
    assert refused.value.code == 401


def test_a_job_is_submitted_with_what_env_says(home: Path, variables: dict[str, str]) -> None:
    wanted = {name: value for name, value in variables.items() if name.startswith("RAY_")}

    job = run(home, "ray", "job", "submit", "--", "evolving-ai", "--version", check=False, **wanted)

    assert job.returncode == 0, job.stdout + job.stderr
    assert "evolving-ai 0." in job.stdout
    assert "succeeded" in job.stdout


def test_a_second_up_names_the_first(home: Path) -> None:
    state = read_state(home)
    assert state is not None
    for detach in ([], ["--detach"]):
        second = run(home, "evolving-ai", "up", *detach, check=False)
        assert second.returncode == 1
        assert f"at {state.url} (process {state.pid})" in second.stderr
        assert second.stderr.startswith("error: ")
        assert len(second.stderr.strip().splitlines()) == 1


def test_down_ends_it_and_does_nothing_the_second_time(home: Path) -> None:
    state = read_state(home)
    assert state is not None

    first, second = run(home, "evolving-ai", "down"), run(home, "evolving-ai", "down", "--json")

    assert first.stderr.strip().splitlines()[-1] == "stopped"
    assert json.loads(second.stdout) == {"result": "not running"}
    assert not Path(state.temp_dir).exists()
    assert run(home, "evolving-ai", "status", check=False).returncode == 1
    for command in ("env", "dashboard"):
        refused = run(home, "evolving-ai", command, check=False)
        assert refused.returncode == 1
        assert refused.stderr.startswith("error: no platform of ")


def test_a_wrong_setting_is_told_before_anything_starts(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "config.yaml").write_text("prot: 8000\n")
    for detach in ([], ["--detach"]):
        refused = run(folder, "evolving-ai", "up", *detach, check=False)
        assert refused.returncode == 2
        assert refused.stderr.strip().endswith("unknown key prot: did you mean port?")
