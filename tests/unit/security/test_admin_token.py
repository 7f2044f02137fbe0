"""The administrator's token: made once, for its owner alone, whole or not at all."""

import threading
from pathlib import Path

import pytest

from evolving_ai.errors import CorruptionError, StorageError
from evolving_ai.security.admin_token import ensure_admin_token


def test_a_token_is_made_once_for_the_owner_alone(tmp_path: Path) -> None:
    secret = ensure_admin_token(tmp_path)

    assert secret.startswith("evai_local-admin_")
    assert len(secret) == len("evai_local-admin_") + 43
    assert (tmp_path / "admin.token").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "admin.token").read_text() == f"{secret}\n"
    assert ensure_admin_token(tmp_path) == secret
    assert [path.name for path in tmp_path.iterdir()] == ["admin.token"]


def test_a_removed_token_is_replaced_by_another_one(tmp_path: Path) -> None:
    secret = ensure_admin_token(tmp_path)
    (tmp_path / "admin.token").unlink()

    assert ensure_admin_token(tmp_path) != secret


def test_what_a_crash_left_is_no_token_and_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".admin.token.123.tmp").write_text("evai_local")

    secret = ensure_admin_token(tmp_path)

    assert ensure_admin_token(tmp_path) == secret


def test_callers_at_once_get_the_same_token(tmp_path: Path) -> None:
    for attempt in range(20):
        home = tmp_path / str(attempt)
        home.mkdir()
        found: list[str] = []
        start = threading.Barrier(4)

        def ask(home: Path = home, found: list[str] = found, start: threading.Barrier = start) -> None:
            start.wait()
            found.append(ensure_admin_token(home))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(found) == 4
        assert len(set(found)) == 1
        assert [path.name for path in home.iterdir()] == ["admin.token"]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o604])
def test_a_token_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    ensure_admin_token(tmp_path)
    (tmp_path / "admin.token").chmod(mode)

    with pytest.raises(StorageError, match=f"can be used by others .mode {mode:o}, expected 600.: remove it"):
        ensure_admin_token(tmp_path)


@pytest.mark.parametrize("text", ["", "\n", "evai_local-admin_short", "password", "evai_key-1_" + "a" * 43])
def test_a_file_that_holds_no_token_is_refused(tmp_path: Path, text: str) -> None:
    ensure_admin_token(tmp_path)
    (tmp_path / "admin.token").write_text(text)

    with pytest.raises(CorruptionError, match="holds no administrator's token: remove it"):
        ensure_admin_token(tmp_path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    ensure_admin_token(tmp_path)
    (tmp_path / "admin.token").write_bytes(b"\xff\xfe")

    with pytest.raises(CorruptionError):
        ensure_admin_token(tmp_path)


def test_a_home_that_does_not_exist_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="the folder does not exist"):
        ensure_admin_token(tmp_path / "nowhere")
