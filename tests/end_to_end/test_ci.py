"""The scripts in .ci/ refuse what they can't do with one line, and see what a run leaves behind."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import ROOT

CI = ROOT / ".ci"


@pytest.mark.parametrize("name", ["check", "run", "venv"])
def test_the_scripts_are_executable_and_well_formed(name: str) -> None:
    assert os.access(CI / name, os.X_OK)
    assert subprocess.run(["bash", "-n", str(CI / name)], check=False).returncode == 0


def run_venv(clone: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`.ci/venv` in a clone that has nothing else but a lock."""
    (clone / ".ci").mkdir(exist_ok=True)
    shutil.copy(CI / "venv", clone / ".ci" / "venv")
    (clone / "requirements.lock").touch()
    (clone / "pyproject.toml").touch()
    command = ["bash", str(clone / ".ci" / "venv")]
    return subprocess.run(
        command,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


@pytest.mark.parametrize("python", ["/bin/true", "/no/such/python"])
def test_venv_refuses_a_python_that_is_not_supported(tmp_path: Path, python: str) -> None:
    result = run_venv(tmp_path, PYTHON=python)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "no Python 3.11, 3.12 or 3.13 found" in result.stderr
    assert not (tmp_path / ".venv").exists()


def test_venv_leaves_a_foreign_folder_alone(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "precious").touch()
    result = run_venv(tmp_path, PYTHON=sys.executable)
    assert result.returncode == 1
    assert "no virtual environment: move it away" in result.stderr
    assert (tmp_path / ".venv" / "precious").exists()


def test_leftovers_are_named_and_ended() -> None:
    environment = {**os.environ, "EVOLVING_AI_CI_RUN": f"test-{os.getpid()}"}
    with subprocess.Popen(["sleep", "60"], env=environment, start_new_session=True) as sleeper:
        script = (CI / "leftovers.py").read_text(encoding="utf-8").replace("_PATIENCE_S = 10.0", "_PATIENCE_S = 0.1")
        result = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == 1
        assert f"{sleeper.pid} sleep 60" in result.stderr
        assert sleeper.wait(timeout=5) == -9


def test_a_clean_run_leaves_nothing() -> None:
    environment = {**os.environ, "EVOLVING_AI_CI_RUN": f"clean-{os.getpid()}"}
    result = subprocess.run([sys.executable, str(CI / "leftovers.py")], env=environment, check=False)
    assert result.returncode == 0
