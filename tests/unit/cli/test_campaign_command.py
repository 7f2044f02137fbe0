"""`campaign list`, `show` and `stop` over good, running, cut-off and damaged campaigns."""

import json
from pathlib import Path
from typing import Any

import pytest

from evolving_ai._common.clock import ManualClock
from evolving_ai.cli.main import main
from evolving_ai.domain.dna import Genome
from evolving_ai.evolution.campaign import CampaignSpec
from evolving_ai.evolution.folder import CampaignFolder
from evolving_ai.evolution.in_process import InProcessExecutor
from evolving_ai.evolution.runner import run_campaign
from evolving_ai.wiring.campaigns import campaigns_path, create_ledger
from tests.evaluators.toy import MixedFront


def spec_named(name: str) -> CampaignSpec:
    problem = MixedFront()
    return CampaignSpec(
        id=name,
        seed=1,
        max_evaluations=30,
        objectives=problem.objectives,
        space=problem.space,
        base=(Genome(problem.space.defaults()),),
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    finish(tmp_path, "done")
    return tmp_path


def folder(home: Path, name: str) -> CampaignFolder:
    return CampaignFolder(campaigns_path(home), name)


def finish(home: Path, name: str) -> None:
    spec, clock = spec_named(name), ManualClock()
    with create_ledger(folder(home, name), spec) as ledger:
        run_campaign(spec, ledger, InProcessExecutor(MixedFront(), clock), clock=clock)


def call(capsys: pytest.CaptureFixture[str], home: Path, *arguments: str) -> tuple[int, Any, str]:
    with pytest.raises(SystemExit) as exit_info:
        main(["campaign", *arguments, "--home", str(home), "--json"])
    printed = capsys.readouterr()
    return int(exit_info.value.code or 0), json.loads(printed.out), printed.err


def test_a_list_tells_every_campaign_and_what_is_wrong_with_damaged_ones(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder(home, "empty").path.mkdir()
    folder(home, "torn").path.mkdir()
    folder(home, "torn").ledger_path.write_bytes(b"not a database at all, but long enough to look like a file")
    code, rows, _ = call(capsys, home, "list")
    known = {row["id"]: row for row in rows}
    assert code == 0
    assert (known["done"]["state"], known["done"]["evaluations"]) == ("budget_exhausted", 30)
    assert known["done"]["problem"] is None
    assert "does not exist" in known["empty"]["problem"]
    assert "is not a database" in known["torn"]["problem"]


def test_no_campaign_is_an_empty_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, tmp_path, "list")[:2] == (0, [])


def test_show_tells_the_front_with_scores_and_genes(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, document, _ = call(capsys, home, "show", "done")
    assert code == 0
    assert document["state"] == "budget_exhausted"
    assert len(document["archive_digest"]) == 64
    for member in document["front"]:
        assert Genome(member["genes"]).hash == member["dna"]
        assert set(member["scores"]) == {"quality", "cost"}


@pytest.mark.parametrize("name", ["absent", "../done", ""])
def test_an_id_of_nothing_is_wrong_use(home: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, document, errors = call(capsys, home, "show", name)
    assert code == 2
    assert document["error"]["message"] in errors
    assert "\n" not in errors.strip()


def test_stop_reaches_the_runner_and_nobody_else(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = spec_named("live")
    with create_ledger(folder(home, "live"), spec) as ledger:
        ledger.set_state("running", {})
        assert call(capsys, home, "stop", "live")[1]["stop_requested"]
        assert folder(home, "live").is_stop_requested()
        assert not call(capsys, home, "stop", "done")[1]["stop_requested"]
    assert not folder(home, "done").is_stop_requested()


def test_a_campaign_whose_runner_died_is_interrupted(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with create_ledger(folder(home, "cut"), spec_named("cut")) as ledger:
        ledger.set_state("running", {})
    states = {row["id"]: row["state"] for row in call(capsys, home, "list")[1]}
    assert states == {"done": "budget_exhausted", "cut": "interrupted"}


def test_a_new_runner_withdraws_an_earlier_request_to_stop(home: Path) -> None:
    folder(home, "done").request_stop()
    with create_ledger(folder(home, "done"), spec_named("done")):
        assert not folder(home, "done").is_stop_requested()
