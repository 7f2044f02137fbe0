"""What every test lives in: a home of its own, one thread for arrays, no way to somebody else's cluster.

Hypothesis runs few examples by default and, with CI in the environment, the same ones each time.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

ENVIRONMENT = {
    "MPLBACKEND": "Agg",
    "MKL_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "RAY_AUTH_MODE": "disabled",
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
}
ROOT = Path(__file__).parents[1]
REAL_HOME = Path.home()
STATE = (".evolving-ai", ".ray")  # what the program and Ray would leave in a home
PATIENCE_S = 5.0

# Read when numpy, matplotlib and ray are first imported, so they must be set before any test module is.
os.environ.update(ENVIRONMENT)
os.environ.pop("RAY_ADDRESS", None)
# Programs that tests start, Ray's workers among them, import `tests.evaluators` as the tests do.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))

settings.register_profile("default", max_examples=25, deadline=None)
settings.register_profile("ci", max_examples=50, deadline=None, derandomize=True, database=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(scope="session", autouse=True)
def _font_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """matplotlib builds its font list once for all tests, outside the real home."""
    os.environ["MPLCONFIGDIR"] = str(tmp_path_factory.mktemp("matplotlib"))


@pytest.fixture(autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty home for the test, which fails when it writes its state into the real one."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("EVOLVING_AI_HOME", str(home / ".evolving-ai"))
    before = _state_in(REAL_HOME)
    yield
    assert _state_in(REAL_HOME) == before, f"the test wrote into {REAL_HOME}: everything belongs below $HOME"


@pytest.fixture(autouse=True)
def _no_child_left() -> Iterator[None]:
    """The test fails when a process that it started is still running a few seconds after its end."""
    before = _children()
    yield
    give_up = time.monotonic() + PATIENCE_S
    while (left := _children().keys() - before.keys()) and time.monotonic() < give_up:
        time.sleep(0.05)
    assert not left, f"the test left child processes running: {[_command(pid) for pid in left]}"


def _state_in(home: Path) -> list[str]:
    return [name for name in STATE if (home / name).exists()]


def _children() -> dict[int, str]:
    """Living child processes of this one with their commands; empty where there is no /proc.

    multiprocessing's own tracker stays for the whole run by design.
    """
    found = {}
    for listing in Path("/proc/self/task").glob("*/children"):
        for pid in map(int, listing.read_text().split()):
            command = _command(pid)
            if command and "multiprocessing.resource_tracker" not in command:
                found[pid] = command
    return found


def _command(pid: int) -> str:
    """The command line; empty for a process that has ended, waited for or not."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""
