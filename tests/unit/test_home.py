"""Where an installation's state lies."""

from pathlib import Path

import pytest

from evolving_ai.errors import StorageError
from evolving_ai.home import HOME_VARIABLE, open_home, resolve_home


def test_the_option_wins_over_the_variable_and_the_variable_over_the_default(tmp_path: Path) -> None:
    environment = {HOME_VARIABLE: str(tmp_path / "variable")}

    assert resolve_home(tmp_path / "option", environment) == tmp_path / "option"
    assert resolve_home(None, environment) == tmp_path / "variable"
    assert resolve_home(None, {}) == Path.home() / ".evolving-ai"
    assert resolve_home(None, {HOME_VARIABLE: ""}) == Path.home() / ".evolving-ai"


def test_a_new_home_is_the_owners_alone_and_resolving_creates_nothing(tmp_path: Path) -> None:
    assert not resolve_home(tmp_path / "a" / "home").exists()

    assert open_home(tmp_path / "a" / "home").stat().st_mode & 0o777 == 0o700


def test_an_existing_home_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)

    assert open_home(tmp_path).stat().st_mode & 0o777 == 0o750


def test_a_file_cannot_be_the_home(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()

    with pytest.raises(StorageError, match="it is a file; choose another with --home"):
        open_home(path)
