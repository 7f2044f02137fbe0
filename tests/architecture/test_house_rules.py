"""The rules of `rules.py`, applied to the project; each list of exceptions gives reasons and may not be stale."""

import subprocess
from collections.abc import Callable, Mapping

import pytest

from tests.architecture import rules
from tests.architecture.source import ROOT, Source, project_sources

PROGRAM = project_sources("evolving_ai")
PROGRAM_AND_EXPERIMENTS = project_sources("evolving_ai", "experiments")

AMBIENT: Mapping[str, str] = {}
LONG: Mapping[str, str] = {
    "evolving_ai/decision/fitting.py:_FoldFit.snapshot": "one line for each array of the snapshot, named in one place",
    "evolving_ai/decision/genes.py:_feature_genes": "a table: one entry for each gene",
    "evolving_ai/decision/genes.py:_quality_genes": "a table: one entry for each gene",
    "evolving_ai/router/run.py:Run.outcome": "one line for each field of an outcome",
}
SIDE_EFFECTS: Mapping[str, str] = {}
BROAD_EXCEPTS: Mapping[str, str] = {
    "evolving_ai/cli/main.py:_guarded_run": "the boundary of the process: any error becomes one line and an exit code",
    "evolving_ai/router/request_path.py:_tried": "the boundary of a candidate: if it fails, the live DNA decides",
    "evolving_ai/serving/gateway/app.py:GatewayApp.__call__": "the boundary of a request: a defect becomes a 500",
    "evolving_ai/evolution/evaluation.py:evaluate": "the boundary of an evaluation: an error is its result",
}
SHORT_SHARE = 0.95

Rule = Callable[[Source], list[str]]


def check(rule: Rule, sources: tuple[Source, ...], allowed: Mapping[str, str], advice: str) -> None:
    """Every violation is an exception with a reason, and every exception still is a violation."""
    found = {violation for source in sources for violation in rule(source)}
    surplus, stale = sorted(found - allowed.keys()), sorted(allowed.keys() - found)
    assert not surplus, f"{advice}: {surplus}"
    assert not stale, f"remove these exceptions, nothing needs them any more: {stale}"


def test_clock_and_chance_are_arguments() -> None:
    outside = tuple(source for source in PROGRAM if not source.path.startswith("evolving_ai/_common/"))
    check(rules.ambient_reads, outside, AMBIENT, "take a Clock, or a generator of derive_rng, as an argument")


def test_function_bodies_are_short() -> None:
    check(rules.long_functions, PROGRAM_AND_EXPERIMENTS, LONG, f"split bodies over {rules.MAX_BODY_LINES} lines")


def test_the_list_of_long_functions_stays_short() -> None:
    functions = sum(len(source.functions) for source in PROGRAM_AND_EXPERIMENTS)
    assert len(LONG) <= (1 - SHORT_SHARE) * functions


def test_importing_has_no_side_effects() -> None:
    check(rules.side_effects, PROGRAM, SIDE_EFFECTS, "move the call into a function")


def test_ports_are_small() -> None:
    check(rules.large_ports, PROGRAM, {}, f"a port has at most {rules.MAX_PORT_METHODS} methods: make it two")


def test_every_all_is_true() -> None:
    check(rules.false_exports, PROGRAM_AND_EXPERIMENTS, {}, "__all__ and the public definitions differ")


def test_broad_excepts_are_at_named_boundaries() -> None:
    check(rules.broad_excepts, PROGRAM_AND_EXPERIMENTS, BROAD_EXCEPTS, "catch the narrowest class")


def test_ray_is_a_shell() -> None:
    shells = ("evolving_ai/evolution/on_ray/", "evolving_ai/serving/")
    others = tuple(source for source in PROGRAM if not source.path.startswith(shells))
    check(lambda source: rules.imports_of(source, "ray"), others, {}, "only the shells import ray")


def test_files_are_named_after_their_noun() -> None:
    vague = rules.vague_names(source.path for source in project_sources("evolving_ai", "experiments", "tests"))
    assert not vague, f"name the file after the noun that it holds: {vague}"


def test_no_file_names_a_machine_a_registry_or_an_issue() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: nothing says which files belong to the project")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    paths = [ROOT / name for name in listed.split("\0") if name and not name.endswith((".parquet", ".png"))]
    texts = [(path, path.read_text(encoding="utf-8")) for path in paths if path.is_file()]
    found = [hit for path, text in texts for hit in rules.forbidden_text(path.relative_to(ROOT).as_posix(), text)]
    assert not found, f"this must not stand in the project: {found}"
