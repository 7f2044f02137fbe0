"""Commands find the platform that the caller means, and show its token to nobody else."""

import json
from pathlib import Path

import pytest

from evolving_ai.cli.connection import Connection, find_connection
from evolving_ai.errors import PlatformError, UsageError

URL = "http://127.0.0.1:8123"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "run.json").write_text(json.dumps({"url": f"{URL}/", "pid": 1}))
    (tmp_path / "admin.token").write_text("token-of-the-home\n")
    return tmp_path


def test_what_runs_in_the_home_is_found(home: Path) -> None:
    assert find_connection(home, environment={}) == Connection(URL, "token-of-the-home")


def test_the_environment_names_another_platform_and_key(home: Path) -> None:
    named = {"EVOLVING_AI_BASE_URL": "https://elsewhere.example/", "EVOLVING_AI_API_KEY": "key"}
    assert find_connection(home, environment=named) == Connection("https://elsewhere.example", "key")


def test_the_option_goes_before_the_environment(home: Path) -> None:
    named = {"EVOLVING_AI_BASE_URL": "https://elsewhere.example", "EVOLVING_AI_API_KEY": "key"}
    assert find_connection(home, "http://localhost:9/", named).url == "http://localhost:9"


def test_the_token_of_the_home_is_never_for_another_address(home: Path) -> None:
    with pytest.raises(UsageError, match=r"no key for https://elsewhere\.example: set \$EVOLVING_AI_API_KEY"):
        find_connection(home, "https://elsewhere.example", {})


def test_naming_the_platform_of_the_home_needs_no_key(home: Path) -> None:
    assert find_connection(home, URL + "/", {}).api_key == "token-of-the-home"


def test_a_platform_that_does_not_run_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="the platform is not running: start it with `evolving-ai up`"):
        find_connection(tmp_path, environment={"EVOLVING_AI_API_KEY": "key"})


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null"])
def test_a_damaged_record_of_the_run_is_told(home: Path, text: str) -> None:
    (home / "run.json").write_text(text)
    with pytest.raises(PlatformError, match=r"run\.json does not say where"):
        find_connection(home, environment={})


@pytest.mark.parametrize("text", [None, "", "\n"])
def test_a_home_without_a_token_is_told(home: Path, text: str | None) -> None:
    if text is None:
        (home / "admin.token").unlink()
    else:
        (home / "admin.token").write_text(text)
    with pytest.raises(PlatformError, match=r"admin\.token"):
        find_connection(home, environment={})


def test_what_is_no_address_is_refused(home: Path) -> None:
    with pytest.raises(UsageError, match="is no address"):
        find_connection(home, "localhost:8000", {})


def test_the_key_is_not_shown_by_accident(home: Path) -> None:
    assert "token-of-the-home" not in repr(find_connection(home, environment={}))
