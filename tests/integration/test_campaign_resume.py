"""A campaign whose process is killed at any moment goes on to the archive that it would have had."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evolving_ai._common.rng import derive_rng
from evolving_ai.evolution.folder import CampaignFolder
from evolving_ai.evolution.replay import read_campaign
from evolving_ai.evolution.state import CampaignState
from evolving_ai.stores.sqlite.campaign_ledger import SqliteCampaignLedger

KILLS = 5
EVALUATIONS = 240
PROGRAM = Path(__file__).with_name("campaign_program.py")
LONGEST_S = 60.0


def start(home: Path, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(PROGRAM), str(home), str(log), str(EVALUATIONS)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate(timeout=LONGEST_S)
    assert process.returncode == 0, errors.decode()


def wait_for_lines(log: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + LONGEST_S
    while _lines(log) < count and time.monotonic() < give_up and process.poll() is None:
        time.sleep(0.002)


def kill_after(home: Path, log: Path, evaluations: int) -> None:
    process = start(home, log)
    wait_for_lines(log, _lines(log) + evaluations, process)
    process.kill()
    process.communicate()


def _lines(log: Path) -> int:
    return log.read_bytes().count(b"\n") if log.exists() else 0


def digest(home: Path) -> str:
    ledger = SqliteCampaignLedger.open(CampaignFolder(home / "campaigns", "toy").ledger_path, writer=False)
    try:
        result = read_campaign(ledger)
    finally:
        ledger.close()
    assert (result.state, result.evaluations) == (CampaignState.BUDGET_EXHAUSTED, EVALUATIONS)
    return result.archive.digest()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    home = tmp_path_factory.mktemp("undisturbed")
    finish(start(home, home / "evaluations.log"))
    return digest(home)


def test_killed_at_random_moments_it_ends_with_the_same_archive(tmp_path: Path, undisturbed: str) -> None:
    rng = derive_rng(11, "kills")
    log = tmp_path / "evaluations.log"
    for _ in range(KILLS):
        kill_after(tmp_path, log, int(rng.integers(1, EVALUATIONS // KILLS)))
    finish(start(tmp_path, log))
    assert digest(tmp_path) == undisturbed


def test_nothing_is_evaluated_again_after_its_commit(tmp_path: Path) -> None:
    rng = derive_rng(12, "kills")
    log = tmp_path / "evaluations.log"
    for _ in range(KILLS):
        done, committed = _lines(log), _committed(tmp_path)
        kill_after(tmp_path, log, int(rng.integers(1, EVALUATIONS // KILLS)))
        evaluated = log.read_text().splitlines()[done:]
        assert evaluated
        assert committed.isdisjoint(evaluated)
        assert len(set(evaluated)) == len(evaluated)


def test_sigint_stops_it_cleanly(tmp_path: Path) -> None:
    log = tmp_path / "evaluations.log"
    process = start(tmp_path, log)
    wait_for_lines(log, 20, process)
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=LONGEST_S)
    ledger = SqliteCampaignLedger.open(CampaignFolder(tmp_path / "campaigns", "toy").ledger_path, writer=False)
    assert ledger.state()[0] == CampaignState.STOPPED
    ledger.close()


def _committed(home: Path) -> set[str]:
    path = CampaignFolder(home / "campaigns", "toy").ledger_path
    if not path.exists():
        return set()
    ledger = SqliteCampaignLedger.open(path, writer=False)
    try:
        return {record.genome_hash for record, evaluation in ledger.candidates() if evaluation is not None}
    finally:
        ledger.close()
