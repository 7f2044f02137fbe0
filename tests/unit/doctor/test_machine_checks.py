"""What a machine has is judged by what the platform needs; reading it understands containers."""

from dataclasses import replace
from pathlib import Path

import pytest

from evolving_ai.doctor.finding import Finding, Verdict, has_failed
from evolving_ai.doctor.machine import Machine, read_machine
from evolving_ai.doctor.machine_checks import machine_findings
from evolving_ai.doctor.packages import package_finding

GB = 10**9
FIT = Machine(
    python=(3, 11),
    cores=2.0,
    memory_bytes=4 * GB,
    memory_free_bytes=3 * GB,
    disk_free_bytes=10 * GB,
    shm_free_bytes=GB,
    open_files=1024,
)


def test_a_machine_with_what_is_needed_is_fit() -> None:
    findings = machine_findings(FIT)

    assert {finding.verdict for finding in findings} == {Verdict.OK}
    assert not any(finding.advice for finding in findings)


@pytest.mark.parametrize(
    ("name", "change", "verdict"),
    [
        ("Python", {"python": (3, 10)}, Verdict.FAILED),
        ("Python", {"python": (3, 14)}, Verdict.FAILED),
        ("processors", {"cores": 1.5}, Verdict.FAILED),
        ("memory", {"memory_bytes": 3 * GB}, Verdict.FAILED),
        ("memory", {"memory_free_bytes": GB}, Verdict.WARNING),
        ("disk", {"disk_free_bytes": 1000}, Verdict.FAILED),
        ("disk", {"disk_free_bytes": GB}, Verdict.WARNING),
        ("shared memory", {"shm_free_bytes": None}, Verdict.WARNING),
        ("shared memory", {"shm_free_bytes": 64 * 2**20}, Verdict.WARNING),
        ("open files", {"open_files": 64}, Verdict.FAILED),
        ("open files", {"open_files": 512}, Verdict.WARNING),
    ],
)
def test_what_is_missing_is_told_with_what_to_do(name: str, change: dict[str, object], verdict: Verdict) -> None:
    findings = machine_findings(replace(FIT, **change))  # type: ignore[arg-type]

    [other] = [finding for finding in findings if finding.verdict is not Verdict.OK]
    assert (other.name, other.verdict) == (name, verdict)
    assert other.advice


def test_limits_of_a_container_count(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("2000000\n")
    (tmp_path / "memory.current").write_text("500000\n")
    (tmp_path / "cpu.max").write_text("50000 100000\n")

    machine = read_machine(tmp_path / "not" / "there", cgroup=tmp_path)

    assert (machine.memory_bytes, machine.memory_free_bytes, machine.cores) == (2_000_000, 1_500_000, 0.5)
    assert machine.disk_free_bytes > 0


@pytest.mark.parametrize("text", ["max 100000\n", "nonsense"])
def test_a_container_without_limits_has_the_machine(text: str, tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "cpu.max").write_text(text)

    machine = read_machine(tmp_path, cgroup=tmp_path)

    assert machine.memory_bytes > 10**8
    assert machine.cores >= 1


@pytest.mark.parametrize(
    ("needed", "found", "verdict", "text"),
    [
        (["ray[serve]>=2.60,<2.61"], {"ray": "2.60.0"}, Verdict.OK, "1 of the right versions"),
        (["ray>=2.60,<2.61"], {"ray": "2.60.1+local"}, Verdict.OK, "1 of"),
        (["ray>=2.60,<2.61"], {"ray": "2.61.0"}, Verdict.FAILED, "ray is 2.61.0, expected >=2.60,<2.61"),
        (["ray>=2.60"], {"ray": "2.9.3"}, Verdict.FAILED, "ray is 2.9.3"),
        (["numpy>=2.1,<3", "ray"], {"ray": "2.60.0"}, Verdict.FAILED, "numpy is missing, expected >=2.1,<3"),
        (["mypy>=1 ; extra == 'dev'", "ray"], {"ray": "2.60.0"}, Verdict.OK, "1 of"),
        (["rich>=14"], {"rich": "14.1.0rc1"}, Verdict.OK, "1 of"),
        ([], {}, Verdict.WARNING, "not installed"),
    ],
)
def test_packages_must_be_there_in_the_right_version(
    needed: list[str], found: dict[str, str], verdict: Verdict, text: str
) -> None:
    finding = package_finding(needed, found.get)

    assert finding.verdict is verdict
    assert text in finding.detail


def test_only_failures_fail() -> None:
    for verdict in Verdict:
        assert has_failed([Finding("it", verdict, "so")]) is (verdict is Verdict.FAILED)
