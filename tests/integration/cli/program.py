"""The program as a user runs it: a home, a small table, one command at a time, and how it refuses."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = str(Path(sys.executable).with_name("evolving-ai"))
LONGEST_S = 120.0


@dataclass(frozen=True)
class Done:
    code: int
    output: str
    errors: str

    @property
    def document(self) -> Any:
        return json.loads(self.output)


def run(*arguments: object, code: int = 0, environment: Mapping[str, str] | None = None) -> Done:
    """Run one command to its end; it must exit with `code`."""
    done = subprocess.run(
        [PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    assert done.returncode == code, done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


def refused(*arguments: object, code: int = 1, **options: Any) -> str:
    """The one line with which a command refuses."""
    done = run(*arguments, code=code, **options)
    lines = done.errors.splitlines()
    assert len(lines) == 1, done.errors
    assert lines[0].startswith("error: ")
    assert "unexpected error" not in lines[0]
    assert done.output == ""
    return lines[0]
