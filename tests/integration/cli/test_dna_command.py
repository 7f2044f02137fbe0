"""`evolving-ai dna` as a user runs it."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evolving_ai.domain.genes import FloatGene, Gene, IntGene
from evolving_ai.wiring.search_space import search_space

PROGRAM = str(Path(sys.executable).with_name("evolving-ai"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def dna(home: Path, *arguments: str, expected_code: int = 0) -> str:
    command = [PROGRAM, "dna", *arguments, "--home", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == expected_code, done.stderr
    return done.stdout if expected_code == 0 else done.stderr


def dna_json(home: Path, *arguments: str) -> Any:
    return json.loads(dna(home, *arguments, "--json"))


def a_number_gene() -> tuple[Gene, float]:
    """A numeric gene that is always active, and a legal value that is not its default."""
    for gene in search_space():
        if isinstance(gene, FloatGene | IntGene) and gene.active_when is None:
            return gene, gene.low if gene.default != gene.low else gene.high
    raise AssertionError("the search space has no numeric gene that is always active")


def test_a_change_is_committed_shown_compared_and_reverted(home: Path) -> None:
    gene, value = a_number_gene()

    made = dna_json(home, "commit", "--set", f"{gene.name}={value}", "-m", "try it", "--author", "ann")

    assert made["mutation"]["changes"] == [{"gene": gene.name, "before": gene.default, "after": value}]
    assert dna_json(home, "log")[0]["message"] == "try it"
    assert dna_json(home, "show", "main")["genes"][gene.name] == value
    assert dna_json(home, "diff", "main~", "main") == made["mutation"]["changes"]
    assert "try it" in dna(home, "log")
    assert gene.name in dna(home, "show", made["hash"][:8])

    dna(home, "revert", "main", "--author", "ann")

    assert dna_json(home, "diff", "main~2", "main") == []
    assert dna_json(home, "fsck") == {"ok": True, "problems": []}


def test_checkout_writes_the_bytes_that_the_hash_is_taken_of(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "genome.json"

    dna(home, "checkout", "main", "--output", str(file))

    dna_hash = dna_json(home, "show", "main")["dna_hash"]
    assert hashlib.sha256(file.read_bytes()).hexdigest() == dna_hash
    assert dna(home, "checkout", dna_hash[:12]).encode() == file.read_bytes()


def test_branches_are_created_listed_and_deleted(home: Path) -> None:
    dna(home, "branch", "exp/1")
    assert sorted(dna_json(home, "branch")) == ["exp/1", "main"]

    dna(home, "branch", "--delete", "exp/1")

    assert sorted(dna_json(home, "branch")) == ["main"]


def test_an_illegal_change_is_refused_in_one_line(home: Path) -> None:
    gene, _ = a_number_gene()

    for assignment, text in [
        (f"{gene.name}=nan", f"error: gene {gene.name} cannot be nan: expected {gene.legal}"),
        (f"{gene.name}x=1", f"error: unknown gene {gene.name}x: did you mean {gene.name}?"),
        (gene.name, f"error: --set {gene.name}: expected GENE=VALUE"),
    ]:
        assert dna(home, "commit", "--set", assignment, "-m", "x", expected_code=2) == f"{text}\n"


def test_genes_lists_the_whole_registry() -> None:
    done = subprocess.run([PROGRAM, "dna", "genes", "--json"], capture_output=True, text=True, timeout=60, check=True)

    listed = json.loads(done.stdout)

    assert [entry["name"] for entry in listed] == [gene.name for gene in search_space()]
    assert all(entry["legal"] and entry["component"] for entry in listed)


def test_fsck_reports_damage_and_fails(home: Path) -> None:
    dna(home, "log")
    path = home / "dna.db"
    data = path.read_bytes()
    path.write_bytes(data.replace(b"Seed genome", b"Seed genomf"))

    command = [PROGRAM, "dna", "fsck", "--json", "--home", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["ok"] is False
    assert any("do not match the hash" in line for line in report["problems"])


def test_fsck_of_a_home_without_dna_creates_nothing(home: Path) -> None:
    assert "there is no DNA to check" in dna(home, "fsck", expected_code=1)
    assert not home.exists()
