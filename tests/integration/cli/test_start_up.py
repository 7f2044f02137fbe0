"""The command line starts fast because it imports little, and fails in one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

PROGRAM = str(Path(sys.executable).with_name("evolving-ai"))

LIST_IMPORTS = """
import sys
from evolving_ai.cli.main import main
try:
    main(["--help"])
except SystemExit as exc:
    assert exc.code == 0, exc.code
heavy = {"numpy", "ray", "pyarrow", "pydantic", "rich", "sklearn", "litellm", "matplotlib", "yaml", "httpx"}
commands = [name for name in sys.modules if name.startswith("evolving_ai.cli.commands.")]
print(sorted(heavy & sys.modules.keys()), commands)
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    from evolving_ai.cli.main import COMMANDS

    done = subprocess.run([sys.executable, "-c", LIST_IMPORTS], capture_output=True, text=True, timeout=60, check=True)

    *help_lines, imported = done.stdout.splitlines()
    assert imported == "[] []"
    assert all(any(line.split()[:1] == [name] for line in help_lines) for name in COMMANDS)


def test_wrong_use_is_one_line_and_exit_code_2() -> None:
    for arguments, text in [
        (["dan"], "No such command 'dan'. Did you mean 'dna'?"),
        (["dna", "log", "--lmit", "2"], "No such option"),
        (["dna", "show"], "Missing argument"),
        (["dna", "log", "-n", "none"], "Invalid value"),
    ]:
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: ")
        assert text in done.stderr
        assert done.stderr.count("\n") == 1


def test_an_error_with_json_is_also_one_document_on_stdout() -> None:
    done = run("dna", "show", "nowhere", "--json")

    error = json.loads(done.stdout)["error"]
    assert error["code"] == "ref_not_found_error"
    assert done.stderr == f"error: {error['message']}\n"
    assert done.returncode == 2


def test_a_reader_that_leaves_early_is_no_noise() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [PROGRAM, "dna", "log"], stdout=write, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    finally:
        os.close(write)

    assert done.stderr == ""


def test_a_home_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()

    done = run("dna", "log", "--home", str(path))

    assert done.returncode == 1
    assert done.stderr == f"error: {path} cannot be the home directory: it is a file; choose another with --home\n"
