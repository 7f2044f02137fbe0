"""Imports point down: import-linter's contracts hold, they can fail, and there is no cycle."""

import graphlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

from tests.architecture.source import ROOT


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of the copy of the program in `folder`."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def graph_of(package: str) -> dict[str, set[str]]:
    """Which modules of `package` each module imports."""
    graph = grimp.build_graph(package, cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def test_the_contracts_hold() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("domain/wrong.py", "import evolving_ai.cli"),
        ("domain/wrong.py", "import numpy"),
        ("stores/wrong.py", "import evolving_ai.wiring"),
        ("decision/wrong.py", "import evolving_ai.evolution"),
        ("evolution/wrong.py", "import ray"),
        ("novelty/__init__.py", ""),
    ],
)
def test_the_contracts_can_fail(tmp_path: Path, path: str, text: str) -> None:
    shutil.copytree(ROOT / "evolving_ai", tmp_path / "evolving_ai", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    wrong = tmp_path / "evolving_ai" / path
    wrong.parent.mkdir(exist_ok=True)
    wrong.write_text(text, encoding="utf-8")
    result = lint_imports(tmp_path)
    assert result.returncode != 0
    assert "1 broken" in result.stdout or "not listed as layers" in result.stdout, result.stdout


def test_there_is_no_import_cycle() -> None:
    graphlib.TopologicalSorter(graph_of("evolving_ai")).prepare()


def test_an_import_cycle_would_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "house_with_cycle"
    package.mkdir()
    for name, text in (("__init__", ""), ("one", "from . import two"), ("two", "from . import one")):
        (package / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter(graph_of("house_with_cycle")).prepare()


def test_importing_the_package_loads_nothing_else() -> None:
    heavy = "{'numpy', 'ray', 'pydantic', 'pyarrow', 'typer', 'httpx', 'sklearn', 'litellm'}"
    code = f"import sys, evolving_ai; sys.exit(', '.join({heavy} & sys.modules.keys()) or 0)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"import evolving_ai loads {result.stderr}"
