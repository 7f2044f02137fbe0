"""`evolving-ai evolve` and `campaign resume` on routing campaigns, as a user runs them."""

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.cli.program import LONGEST_S, PROGRAM, refused, run
from tests.unit.decision.synthetic_outcomes import columns_of, write_table

QUERIES = 60
EVALUATIONS = 12
LONG = 150


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_table(tmp_path / "table.parquet", columns_of(QUERIES))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def campaign(tmp_path: Path, data: Path) -> Callable[..., Path]:
    """Writes a campaign file; keyword arguments replace its keys."""

    def write(**changes: Any) -> Path:
        content = {"kind": "routing", "name": "tiny", "data": data.name, "evals": EVALUATIONS, "seed": 3, "window": 4}
        path = tmp_path / "campaign.yaml"
        path.write_text(yaml.safe_dump({**content, **changes}))
        return path

    return write


def digest_of(home: Path, campaign_id: str) -> str:
    return str(run("campaign", "show", campaign_id, "--home", home, "--json").document["archive_digest"])


def ids_in(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "campaigns").glob("*"))


def start(*arguments: object) -> tuple["subprocess.Popen[str]", str]:
    """A running campaign and its id: it has said that it is about to evaluate."""
    process = subprocess.Popen(
        [PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith("campaign "), line + process.stderr.read()
    return process, line.split()[1]


def test_a_campaign_ends_with_a_table_a_branch_and_a_report(campaign: Any, home: Path) -> None:
    done = run("evolve", campaign(), "--home", home)

    (campaign_id,) = ids_in(home)
    for row in ("cheapest model", "best single model", "evolved policy", "oracle"):
        assert row in done.output
    assert f"campaign/{campaign_id}" in done.output
    assert f"{EVALUATIONS} evaluations" in done.output
    report = home / "campaigns" / campaign_id / "report"
    assert {"report.md"} <= {path.name for path in report.iterdir()}
    assert all(path.stat().st_size > 0 for path in report.iterdir())
    branches = run("dna", "branch", "--home", home, "--json").document
    assert f"campaign/{campaign_id}" in branches
    shown = run("dna", "show", f"campaign/{campaign_id}", "--home", home, "--json").document
    assert shown["dna_hash"][:12] in done.output
    replayed = run("replay", campaign().parent / "table.parquet", "--dna", f"campaign/{campaign_id}", "--home", home,
                   "--decisions", home / "out.parquet", "--json")  # fmt: skip
    assert replayed.document["dna"] == shown["dna_hash"]


def test_equal_seeds_find_equal_winners_and_other_seeds_other_archives(campaign: Any, home: Path) -> None:
    first, again, other = (
        run("evolve", campaign(), "--home", home, "--seed", seed, "--json").document for seed in (7, 7, 8)
    )
    assert first["evaluations"] == EVALUATIONS
    assert (first["dna"], first["archive_digest"]) == (again["dna"], again["archive_digest"])
    assert first["campaign"] != again["campaign"]
    assert other["archive_digest"] != first["archive_digest"]
    assert [row["name"] for row in first["table"]] == [
        "cheapest model",
        "best single model",
        "evolved policy",
        "oracle",
    ]
    assert len(first["gain_over_best_single"]) == 3


def test_options_override_the_file_and_a_folder_stands_for_its_campaign_file(
    campaign: Any, home: Path, tmp_path: Path
) -> None:
    folder = campaign(data=None, evals=500).parent
    elsewhere = write_table(tmp_path / "elsewhere.parquet", columns_of(30))
    done = run(
        "evolve", folder, "--data", elsewhere, "--evals", 3, "--context", "source_task", "--home", home, "--json"
    )
    assert done.document["evaluations"] == 3
    about = run("campaign", "show", done.document["campaign"], "--home", home, "--json").document["about"]
    assert about["data"] == str(elsewhere)
    assert about["context"] == ["source_task"]


def test_a_table_without_a_test_split_ends_without_a_result_table(campaign: Any, home: Path, tmp_path: Path) -> None:
    columns = columns_of(30)
    columns["split"] = ["train"] * len(columns["split"])
    document = run(
        "evolve",
        campaign(evals=3),
        "--data",
        write_table(tmp_path / "train.parquet", columns),
        "--home",
        home,
        "--json",
    ).document
    assert document["table"] == []
    assert document["gain_over_best_single"] is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_campaign_is_resumed_to_the_same_archive(
    campaign: Any, home: Path, number: signal.Signals
) -> None:
    whole = run("evolve", campaign(evals=LONG), "--home", home, "--json").document
    process, campaign_id = start("evolve", campaign(evals=LONG), "--home", home)
    process.send_signal(number)
    output, errors = process.communicate(timeout=LONGEST_S)

    assert process.returncode == 130
    assert output == ""
    (line,) = [line for line in errors.splitlines() if "campaign resume" in line]
    assert f"`evolving-ai campaign resume {campaign_id}`" in line
    assert "Traceback" not in errors
    assert run("campaign", "show", campaign_id, "--home", home, "--json").document["evaluations"] < LONG

    resumed = run("campaign", "resume", campaign_id, "--home", home, "--json").document
    assert resumed["evaluations"] == LONG
    assert (resumed["archive_digest"], resumed["dna"]) == (whole["archive_digest"], whole["dna"])
    assert digest_of(home, campaign_id) == whole["archive_digest"]


def test_a_second_runner_of_a_campaign_is_refused_and_the_first_goes_on(campaign: Any, home: Path) -> None:
    process, campaign_id = start("evolve", campaign(evals=1_000_000), "--home", home)
    try:
        line = refused("campaign", "resume", campaign_id, "--home", home)
        assert f"process {process.pid}" in line
        assert process.poll() is None
        run("campaign", "stop", campaign_id, "--home", home)
        output, _ = process.communicate(timeout=LONGEST_S)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0
    assert "stopped" in output


def test_a_campaign_whose_table_has_changed_is_not_resumed(campaign: Any, home: Path, data: Path) -> None:
    campaign_id = run("evolve", campaign(evals=3), "--home", home, "--json").document["campaign"]
    columns = columns_of(QUERIES)
    columns["prompt_tokens"][4] += 1
    write_table(data, columns)
    assert "has changed" in refused("campaign", "resume", campaign_id, "--home", home)


def test_a_spent_budget_is_raised_by_resuming(campaign: Any, home: Path) -> None:
    whole = run("evolve", campaign(evals=10), "--home", home, "--json").document
    part = run("evolve", campaign(evals=6), "--home", home, "--json").document
    more = run("campaign", "resume", part["campaign"], "--evals", 10, "--home", home, "--json").document
    assert (more["archive_digest"], more["dna"]) == (whole["archive_digest"], whole["dna"])


def test_a_raised_budget_is_remembered_and_cannot_fall_below_what_was_begun(campaign: Any, home: Path) -> None:
    begun = run("evolve", campaign(evals=6), "--home", home, "--json").document["campaign"]
    run("campaign", "resume", begun, "--evals", 10, "--home", home)
    assert run("campaign", "show", begun, "--home", home, "--json").document["max_evaluations"] == 10
    assert run("campaign", "resume", begun, "--home", home, "--json").document["evaluations"] == 10
    line = refused("campaign", "resume", begun, "--evals", 8, "--home", home, code=2)
    assert "--evals 10 or more" in line


def test_a_winner_beyond_the_cost_limit_is_called_that(campaign: Any, home: Path) -> None:
    done = run("evolve", campaign(evals=1, operating_point={"max_cost_share": 0.001}), "--home", home, "--json")
    assert done.document["within_cost_limit"] is False
    assert "the cheapest was taken" in done.errors


BAD_FILES: dict[str, tuple[dict[str, Any], int, str]] = {
    "unknown key": ({"seeed": 1}, 2, "did you mean seed?"),
    "unknown nested key": ({"operating_point": {"max_cost_shar": 0.1}}, 2, "did you mean max_cost_share?"),
    "wrong type": ({"evals": "many"}, 2, "evals"),
    "out of range": ({"folds": 1}, 2, "folds"),
    "unknown kind": ({"kind": "cooking"}, 2, "kind"),
    "unknown gene": ({"genes": ["features.bitz"]}, 2, "features.bits"),
    "unknown ref": ({"start_from": "nowhere"}, 2, "nowhere"),
    "missing data": ({"data": "none.parquet"}, 1, "does not exist"),
    "no data": ({"data": None}, 1, "names no data"),
    "unknown context": ({"context": ["team"]}, 1, "team"),
    "more folds than queries": ({"data": "few.parquet", "folds": 20}, 1, "folds"),
}


@pytest.mark.parametrize(("changes", "code", "reason"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_bad_campaign_is_refused_in_one_line_before_it_begins(
    campaign: Any, home: Path, tmp_path: Path, changes: dict[str, Any], code: int, reason: str
) -> None:
    write_table(tmp_path / "few.parquet", columns_of(12))
    assert reason in refused("evolve", campaign(**changes), "--home", home, code=code)
    assert ids_in(home) == []


@pytest.mark.parametrize(("content", "reason"), [("kind: [", "is not YAML"), ("just text", "expected a mapping")])
def test_what_is_no_campaign_file_is_refused_in_one_line(tmp_path: Path, home: Path, content: str, reason: str) -> None:
    file = tmp_path / "campaign.yaml"
    file.write_text(content)
    assert reason in refused("evolve", file, "--home", home, code=2)


def test_a_missing_file_and_a_folder_without_one_are_refused_in_one_line(tmp_path: Path, home: Path) -> None:
    assert "does not exist" in refused("evolve", tmp_path / "none.yaml", "--home", home)
    assert "holds no campaign.yaml" in refused("evolve", tmp_path, "--home", home)


@pytest.mark.parametrize(
    ("settings", "reason"), [("wrokers: 2", "did you mean workers?"), ("workers: two", "workers"), ("workers: 0", "1")]
)
def test_bad_settings_are_refused_in_one_line(campaign: Any, home: Path, settings: str, reason: str) -> None:
    home.mkdir()
    (home / "config.yaml").write_text(settings)
    assert reason in refused("evolve", campaign(), "--home", home, code=2)
    assert ids_in(home) == []


@pytest.mark.parametrize("table", ["empty", "no train rows", "wrong schema", "text"])
def test_a_bad_table_is_refused_in_one_line_before_it_begins(
    campaign: Any, home: Path, tmp_path: Path, table: str
) -> None:
    columns = columns_of(12)
    if table == "empty":
        columns = {name: [] for name in columns}
    elif table == "no train rows":
        columns["split"] = ["test"] * len(columns["split"])
    elif table == "wrong schema":
        columns["score"] = ["good"] * len(columns["score"])
    path = write_table(tmp_path / "bad.parquet", columns)
    if table == "text":
        path.write_text("query_id,model\n")
    assert str(path) in refused("evolve", campaign(), "--data", path, "--home", home)
    assert ids_in(home) == []


@pytest.mark.parametrize("option", [("--evals", "0"), ("--seed", "-1"), ("--evals", "many")])
def test_wrong_options_are_refused_in_one_line(campaign: Any, home: Path, option: tuple[str, str]) -> None:
    refused("evolve", campaign(), *option, "--home", home, code=2)


def test_a_home_that_is_a_file_is_refused_in_one_line(campaign: Any, home: Path) -> None:
    home.write_text("")
    assert "it is a file" in refused("evolve", campaign(), "--home", home)


@pytest.mark.ray
@pytest.mark.slow
def test_two_ray_workers_find_the_archive_of_one_process_and_leave_nothing_behind(
    campaign: Any, home: Path, tmp_path: Path
) -> None:
    alone = run("evolve", campaign(), "--home", home, "--json").document
    # Short: Ray's sockets lie below it, and a socket's path may have 107 bytes.
    scratch = Path(tempfile.mkdtemp(prefix="ev"))
    try:
        spread = run("evolve", campaign(executor="ray", workers=2), "--home", home, "--json",
                     environment={"TMPDIR": str(scratch)}).document  # fmt: skip
        assert list(scratch.glob("evray*")) == []
    finally:
        shutil.rmtree(scratch)
    assert (spread["archive_digest"], spread["dna"]) == (alone["archive_digest"], alone["dna"])
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [command for command in commands if str(scratch).encode() in command]
