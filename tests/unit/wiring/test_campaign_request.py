"""What a request means: the campaign file that it becomes, and names that mean none."""

from pathlib import Path
from typing import Any

import pytest

from evolving_ai.errors import SettingsError, UsageError
from evolving_ai.wiring.campaign_file import read_campaign_file
from evolving_ai.wiring.campaign_request import CampaignRequest, requested_campaign, write_requested

TABLE = Path("/data/table.parquet")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    (folder / "deeper").mkdir(parents=True)
    (folder / "routing.yaml").write_text("kind: routing\nname: named\ndata: own.parquet\nevals: 9\nseed: 4\n")
    (folder / "deeper" / "bare.yml").write_text("kind: routing\n")
    (folder / "bad.yaml").write_text("kind: routing\nevalls: 9\n")
    (folder / "notes.txt").write_text("kind: routing\n")
    (tmp_path / "outside.yaml").write_text("kind: routing\n")
    return folder


def wish(campaign: str | None = None, **changes: Any) -> CampaignRequest:
    return CampaignRequest("abcd1234", TABLE, campaign, **changes)


def test_without_a_name_the_live_commit_is_evolved_on_the_table(library: Path) -> None:
    asked = requested_campaign(wish(), library)
    assert (asked.name, asked.start_from, asked.data, asked.executor) == ("routing", "abcd1234", TABLE, "process")
    assert asked.target is None


def test_a_named_file_keeps_its_own_values_unless_the_request_has_others(library: Path) -> None:
    asked = requested_campaign(wish("routing.yaml"), library)
    assert (asked.name, asked.start_from, asked.evals, asked.seed) == ("named", "main", 9, 4)
    assert asked.data == (library / "own.parquet").resolve()
    other = requested_campaign(wish("routing.yaml", max_iterations=2, seed=0, target_fitness=0.0), library)
    assert other.target is not None
    assert (other.evals, other.seed, other.target.value) == (2, 0, 0.0)


def test_a_named_file_without_data_searches_on_the_table(library: Path) -> None:
    assert requested_campaign(wish("deeper/bare.yml"), library).data == TABLE


def test_an_absolute_path_may_lie_anywhere(library: Path) -> None:
    assert requested_campaign(wish(str(library.parent / "outside.yaml")), library).name == "routing"


@pytest.mark.parametrize(
    "name",
    ["../outside.yaml", "absent.yaml", "notes.txt", "deeper", ".", "", "a\0b.yaml", "x" * 5000, "/etc/hostname", "/"],
)
def test_a_name_that_means_no_campaign_file_is_refused_in_one_line(library: Path, name: str) -> None:
    with pytest.raises(UsageError, match="there is no campaign file") as caught:
        requested_campaign(wish(name), library)
    assert len(str(caught.value).splitlines()) == 1


def test_a_link_that_leads_out_is_refused(library: Path) -> None:
    (library / "link.yaml").symlink_to(library.parent / "outside.yaml")
    with pytest.raises(UsageError, match="there is no campaign file"):
        requested_campaign(wish("link.yaml"), library)


def test_a_named_file_with_a_slip_is_refused_as_the_command_line_refuses_it(library: Path) -> None:
    with pytest.raises(SettingsError, match=r"did you mean evals\?"):
        requested_campaign(wish("bad.yaml"), library)


def test_the_project_s_own_campaign_can_be_named() -> None:
    assert requested_campaign(wish("routing.yaml")).executor == "ray"


def test_what_is_written_reads_back_as_what_was_asked(library: Path, tmp_path: Path) -> None:
    asked = requested_campaign(wish("routing.yaml", target_fitness=0.75), library)
    path = write_requested(tmp_path, "named-1", asked)
    assert read_campaign_file(path) == asked
    assert path == tmp_path / "campaigns" / "requested" / "named-1.yaml"
