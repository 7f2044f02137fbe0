"""What is known of a running platform: `run.json` and the lock beside it."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from evolving_ai.errors import LockedError
from evolving_ai.wiring.platform_state import PlatformState, read_state, remove_state, run_lock, supervisor_of

STATE = PlatformState(
    pid=4711,
    started="2026-01-01T00:00:00+00:00",
    url="http://127.0.0.1:8000",
    port=8000,
    profile="direct",
    temp_dir="folder",
    version="1",
    is_healthy=True,
    children={"listener": 12},
)


def test_what_was_saved_is_read(tmp_path: Path) -> None:
    STATE.save(tmp_path)

    assert read_state(tmp_path) == STATE
    assert STATE.mark == "EVOLVING_AI_PLATFORM=folder"


def test_a_newer_state_replaces_the_older(tmp_path: Path) -> None:
    replace(STATE, is_healthy=False).save(tmp_path)
    STATE.save(tmp_path)

    assert read_state(tmp_path) == STATE


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}'])
def test_a_damaged_state_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)

    assert read_state(tmp_path) is None


def test_removing_twice_is_no_error(tmp_path: Path) -> None:
    STATE.save(tmp_path)
    remove_state(tmp_path)
    remove_state(tmp_path)

    assert read_state(tmp_path) is None


def test_a_lock_that_is_held_names_its_holder_and_the_address(tmp_path: Path) -> None:
    STATE.save(tmp_path)
    refusal = rf"at http://127.0.0.1:8000 \(process {os.getpid()}\): `evolving-ai down`"
    with run_lock(tmp_path):
        assert supervisor_of(tmp_path) == os.getpid()
        with pytest.raises(LockedError, match=refusal), run_lock(tmp_path):
            pass

    assert supervisor_of(tmp_path) is None


def test_a_lock_can_be_taken_again_after_its_holder_ended(tmp_path: Path) -> None:
    for _ in range(2):
        with run_lock(tmp_path):
            pass


def test_asking_for_the_supervisor_makes_no_file(tmp_path: Path) -> None:
    assert supervisor_of(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
