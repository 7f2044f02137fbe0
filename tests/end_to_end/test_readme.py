"""README.md keeps its promises: its first two blocks can be run, and the commands that it names exist."""

import importlib
import importlib.util
import re
import subprocess
import sys

import pytest
import typer

from evolving_ai.cli.main import COMMANDS
from tests.architecture.source import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = ROOT / ".ci" / "fence.py"
NAMED = sorted(set(re.findall(r"evolving-ai (?:campaign|dna|rollout|bench) [a-z]+|evolving-ai [a-z]+", README)))


def fence(number: int) -> str:
    """What `.ci/fence.py` takes for the N-th block: the very text that `.ci/run` runs."""
    command = [sys.executable, str(FENCE), str(ROOT / "README.md"), str(number)]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def first_fences() -> list[list[str]]:
    """The lines of the first two blocks, found without the program under test."""
    lines = README.splitlines()
    marks = [number for number, line in enumerate(lines) if line.startswith("```")][:4]
    assert [lines[mark] for mark in marks] == ["```bash", "```", "```bash", "```"]
    return [lines[marks[0] + 1 : marks[1]], lines[marks[2] + 1 : marks[3]]]


def test_the_first_block_shows_the_loop_and_the_second_tests() -> None:
    demo, test = first_fences()
    assert demo == ["bash .ci/venv", ".venv/bin/evolving-ai demo"]
    assert test == ["bash .ci/venv", ".venv/bin/python -m pytest"]


def test_ci_takes_the_second_block_word_for_word() -> None:
    assert fence(2).splitlines() == first_fences()[1]
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert '.ci/fence.py README.md 2 >"$block"' in run
    assert 'bash -euo pipefail "$block"' in run
    assert "pytest" not in run, "the test command stands in README.md alone"


def test_a_missing_block_is_an_error() -> None:
    command = [sys.executable, str(FENCE), str(ROOT / "README.md"), "99"]
    result = subprocess.run(command, capture_output=True, check=False, text=True)
    assert result.returncode == 1
    assert "number 99" in result.stderr


def test_the_files_that_readme_links_to_exist() -> None:
    linked = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert linked
    assert [path for path in linked if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("named", NAMED)
def test_the_commands_that_readme_names_exist(named: str) -> None:
    _, command, *subcommand = named.split()
    assert command in COMMANDS
    module = COMMANDS[command][0]
    assert importlib.util.find_spec(module), f"{module} is not written yet"
    if subcommand and command != "bench":
        group = typer.main.get_command(importlib.import_module(module).app)
        assert subcommand[0] in getattr(group, "commands", {})


def test_every_command_is_named() -> None:
    assert {name.split()[1] for name in NAMED} == set(COMMANDS)
