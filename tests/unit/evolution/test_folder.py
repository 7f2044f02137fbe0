"""A campaign's folder: whose it is, and which folders are none."""

from pathlib import Path

import pytest

from evolving_ai.errors import StorageError, UsageError
from evolving_ai.evolution.folder import RESERVED, CampaignFolder, campaign_folders


def test_a_folder_is_claimed_once(tmp_path: Path) -> None:
    folder = CampaignFolder(tmp_path / "campaigns", "mine")
    assert folder.claim()
    assert not folder.claim()
    assert folder.path.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "campaigns").write_text("a file")
    with pytest.raises(StorageError, match="cannot write"):
        CampaignFolder(tmp_path / "campaigns", "mine").claim()


def test_the_reserved_name_and_what_is_no_id_are_no_campaigns(tmp_path: Path) -> None:
    for name in ("mine", RESERVED, ".hidden", "has blanks"):
        (tmp_path / name).mkdir()
    assert [folder.id for folder in campaign_folders(tmp_path)] == ["mine"]
    for name in (RESERVED, "../up", ""):
        with pytest.raises(UsageError, match="is no campaign id"):
            CampaignFolder(tmp_path, name)
