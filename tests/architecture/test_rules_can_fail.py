"""Each rule finds what it is for, and leaves the proper form alone."""

import pytest

from tests.architecture import rules
from tests.architecture.source import Source

HERE = "evolving_ai/here.py"


def bad(rule: object, text: str) -> list[str]:
    """What `rule` finds in `text`, without the path."""
    assert callable(rule)
    return [violation.removeprefix(f"{HERE}:") for violation in rule(Source(HERE, text))]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("import time\nx = time.monotonic()", "time.monotonic"),
        ("import time as t\nt.sleep(1)", "time.sleep"),
        ("from time import perf_counter as now\nf(clock=now)", "time.perf_counter"),
        ("from datetime import datetime\ndatetime.now()", "datetime.datetime.now"),
        ("import datetime\ndatetime.date.today()", "datetime.date.today"),
        ("def f():\n    import random\n    return random.choice([1])", "random.choice"),
        ("from random import shuffle\nshuffle([1])", "random.shuffle"),
        ("import numpy as np\nnp.random.default_rng(0)", "numpy.random.default_rng"),
        ("from numpy.random import default_rng\ndefault_rng(0)", "numpy.random.default_rng"),
        ("import secrets\nsecrets.token_hex()", "secrets.token_hex"),
        ("import uuid\nuuid.uuid4()", "uuid.uuid4"),
        ("import os\nos.urandom(8)", "os.urandom"),
    ],
)
def test_ambient_reads_are_found(text: str, name: str) -> None:
    assert bad(rules.ambient_reads, text) == [name]


def test_types_and_arguments_are_no_ambient_reads() -> None:
    text = "import numpy as np\ndef f(rng: np.random.Generator, clock):\n    return rng.random(), clock.monotonic_s()"
    assert bad(rules.ambient_reads, text) == []


def test_a_body_may_have_35_lines_beside_its_docstring() -> None:
    docstring = '    """One\n\n    two\n    """\n'
    long_one = "class A:\n  async def f(self):\n" + docstring + "    pass\n" * 36
    assert bad(rules.long_functions, "def f():\n" + docstring + "    pass\n" * 35) == []
    assert bad(rules.long_functions, long_one) == ["A.f"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("import os\nos.makedirs('x')", "os.makedirs"),
        ("X = open('x').read()", "open('x').read"),
        ("class A:\n    cache = connect()", "connect"),
        ("def f(x=connect()): ...", "connect"),
        ("@register()\ndef f(): ...", "register"),
        ("if True:\n    connect()", "connect"),
        ("X = [load(y) for y in (1, 2)]", "load"),
    ],
)
def test_side_effects_of_an_import_are_found(text: str, name: str) -> None:
    assert name in bad(rules.side_effects, text)


@pytest.mark.parametrize(
    "text",
    [
        "import re\nX = re.compile('x')",
        "from typing import TypeVar\nT = TypeVar('T')",
        "from dataclasses import dataclass, field\n@dataclass\nclass A:\n    x: int = field(default=1)\nB = A()",
        "from evolving_ai.domain.genes import Gene\nG = (Gene('a'), Gene.of('b'))",
        "def f():\n    connect()\ng = lambda: connect()",
        "if __name__ == '__main__':\n    main()",
        "WORDS = 'a b'.split()",
    ],
)
def test_pure_constructors_are_no_side_effects(text: str) -> None:
    assert bad(rules.side_effects, text) == []


def test_commands_are_registered_in_the_cli_alone() -> None:
    text = "import typer\napp = typer.Typer()\n@app.command('x')\ndef f(): ..."
    assert rules.side_effects(Source("evolving_ai/cli/commands/x.py", text)) == []
    assert bad(rules.side_effects, text) == ["app.command"]


@pytest.mark.parametrize(
    "name", ["utils", "helpers", "manager", "base", "base_store", "text_utils", "_helper", "common"]
)
def test_vague_names_are_found(name: str) -> None:
    assert rules.vague_names([f"evolving_ai/{name}.py", f"evolving_ai/{name}/x.py"]) == [
        f"evolving_ai/{name}.py",
        f"evolving_ai/{name}/x.py",
    ]


def test_nouns_are_not_vague() -> None:
    assert (
        rules.vague_names(["evolving_ai/_common/clock.py", "evolving_ai/database.py", "tests/architecture/rules.py"])
        == []
    )


def test_large_ports_are_found() -> None:
    methods = "".join(f"    def m{number}(self) -> None: ...\n" for number in range(7))
    classes = f"class A(Protocol):\n{methods}class B(t.Protocol[int]):\n{methods}"
    text = f"import typing as t\nfrom typing import Protocol\n{classes}"
    assert bad(rules.large_ports, text) == ["A", "B"]
    assert bad(rules.large_ports, text.replace("    def m6(self) -> None: ...\n", "")) == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("__all__ = ['gone']", ["gone"]),
        ("__all__ = []\ndef f(): ...\nclass A: ...\ndef _g(): ...", ["A", "f"]),
        ("__all__ = ['f', 'f']\ndef f(): ...", ["f"]),
        ("__all__ = ['X', 'Y', 'join']\nfrom os.path import join\nX: int = 1\nif True:\n    Y = 1", []),
        ("__all__ = ['app']\napp = 1\n@app.command()\ndef f(): ...\ndef main(): ...", []),
    ],
)
def test_false_exports_are_found(text: str, names: list[str]) -> None:
    assert bad(rules.false_exports, text) == names


@pytest.mark.parametrize("caught", ["", " Exception", " BaseException as exc", " (ValueError, Exception)"])
def test_broad_excepts_are_found(caught: str) -> None:
    text = f"class A:\n    def f(self):\n        try:\n            g()\n        except{caught}:\n            "
    assert bad(rules.broad_excepts, text + "pass") == ["A.f"]
    assert bad(rules.broad_excepts, text + "close()\n            raise") == []


def test_narrow_excepts_are_left_alone() -> None:
    assert bad(rules.broad_excepts, "try:\n    f()\nexcept (ValueError, OSError):\n    pass") == []


@pytest.mark.parametrize("text", ["import ray", "from ray import serve", "def f():\n    import ray.util as u"])
def test_imports_are_found_wherever_they_stand(text: str) -> None:
    assert rules.imports_of(Source(HERE, text), "ray") == [HERE]
    assert rules.imports_of(Source(HERE, "import rayon\nfrom a.ray import b"), "ray") == []


@pytest.mark.parametrize(
    "text",
    [
        "cd /" + "work/main",
        "'/" + "opt/venv/bin'",
        "pypi" + ".org",
        "--index" + "-url x",
        "find" + "_links",
        "fixes #" + "12",
    ],
)
def test_forbidden_text_is_found(text: str) -> None:
    assert len(rules.forbidden_text("x", f"first\n{text}\nlast")) == 1


def test_ordinary_text_is_not_forbidden() -> None:
    assert rules.forbidden_text("x", "the network/work/flow, #3, https://example.org/work, ~/root") == []
