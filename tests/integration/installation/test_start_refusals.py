"""`up` where it cannot be: one line that says what to do, and nothing is started or harmed."""

from pathlib import Path

import pytest

from evolving_ai.wiring.platform_state import read_state, supervisor_of
from tests.integration.installation.installed import Installed, command

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def refused(home: Path, *arguments: str) -> str:
    """The one line with which `up` refuses."""
    done = command(home, "evolving-ai", "up", *arguments)
    *_, line = done.stderr.strip().splitlines()

    assert done.returncode in (1, 2)
    assert done.stdout == ""
    assert line.startswith("error: ")
    assert "Traceback" not in done.stderr
    return line


@pytest.mark.parametrize("arguments", [(), ("--detach",)])
def test_a_port_that_is_taken_is_named(platform: Installed, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    other = tmp_path / "other"
    line = refused(other, "--port", str(platform.state.port), *arguments)

    assert str(platform.state.port) in line
    assert "port" in line
    assert read_state(other) is None
    assert supervisor_of(other) is None
    assert platform.chat("Hello").status_code == 200


@pytest.mark.parametrize("arguments", [(), ("--detach",)])
def test_a_second_up_on_the_same_home_names_the_first(platform: Installed, arguments: tuple[str, ...]) -> None:
    before = read_state(platform.home)
    line = refused(platform.home, "--port", "0", *arguments)

    assert f"at {platform.url} (process {platform.state.pid})" in line
    assert "evolving-ai down" in line
    assert read_state(platform.home) == before
    assert platform.chat("Hello").status_code == 200


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prot: 8000\n", "unknown key prot: did you mean port?"),
        ("replay: {latency: 1}\n", "unknown key replay.latency"),
        ("port: eighty\n", "port cannot be 'eighty'"),
        ("profile: fast\n", "profile cannot be 'fast'"),
        ("- a list\n", "expected a mapping"),
        ("a: [\n", "is not YAML"),
    ],
)
def test_a_wrong_setting_is_named_and_nothing_is_started(tmp_path: Path, text: str, expected: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.yaml").write_text(text)

    assert expected in refused(home, "--detach", "--port", "0")
    assert supervisor_of(home) is None
