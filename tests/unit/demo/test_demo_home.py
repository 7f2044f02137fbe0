"""A demonstration takes no folder that is somebody else's, and shares its own with nobody."""

import os
from pathlib import Path

import pytest

from evolving_ai._common.clock import ManualClock
from evolving_ai.demo.home import claimed_home
from evolving_ai.errors import LockedError, StorageError, UsageError
from evolving_ai.wiring.platform_state import run_lock


def claim(home: Path) -> list[str]:
    """Claim it and let go; what lay in it meanwhile."""
    with claimed_home(home, ManualClock(), note=lambda _: None) as folder:
        assert folder == home
        return sorted(entry.name for entry in folder.iterdir())


def test_a_new_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    assert claim(tmp_path / "deep" / "demo") == ["demo.json", "demo.lock"]
    assert (tmp_path / "deep" / "demo").stat().st_mode & 0o777 == 0o700


def test_the_default_is_below_the_users_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("EVOLVING_AI_HOME", str(tmp_path / "installation"))
    with claimed_home(None, ManualClock(), note=lambda _: None) as folder:
        assert folder == tmp_path / ".evolving-ai-demo"


def test_a_folder_with_other_content_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")

    with pytest.raises(UsageError, match="holds something else than a demo"):
        claim(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["letter.txt"]


def test_what_a_former_demo_left_is_removed_but_nothing_that_it_links_to(tmp_path: Path) -> None:
    home, outside = tmp_path / "demo", tmp_path / "outside"
    claim(home)
    outside.mkdir()
    (outside / "kept.txt").write_text("kept")
    (home / "logs" / "deep").mkdir(parents=True)
    (home / "dna.db").write_text("old")
    (home / "link").symlink_to(outside)

    assert claim(home) == ["demo.json", "demo.lock"]
    assert (outside / "kept.txt").read_text() == "kept"


def test_a_second_demo_is_told_who_runs_there_and_how_to_end_it(tmp_path: Path) -> None:
    home = tmp_path / "demo"
    with claimed_home(home, ManualClock(), note=lambda _: None):
        (home / "state").write_text("mine")
        with pytest.raises(LockedError, match=f"process {os.getpid()}.*`kill {os.getpid()}` ends it"):
            claim(home)
        assert (home / "state").read_text() == "mine"
    assert claim(home) == ["demo.json", "demo.lock"]


def test_a_platform_that_was_kept_is_not_swept_away(tmp_path: Path) -> None:
    home = tmp_path / "demo"
    claim(home)
    with run_lock(home), pytest.raises(LockedError, match=f"`evolving-ai down --home {home}` ends it"):
        claim(home)


def test_a_file_is_no_home(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="it is a file"):
        claim(tmp_path / "file")
