"""The report says what was asked, what came out, and where the winner came from."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evolving_ai.evolution.lineage import ancestry
from evolving_ai.evolution.pareto_plot import ReferencePoint
from evolving_ai.evolution.report import balanced_member, write_report
from tests.evaluators.toy import Menu, MixedFront

Make = Callable[..., Any]


@pytest.fixture
def result(spec_for: Make, run: Make) -> Any:
    return run(spec_for(MixedFront(), max_evaluations=60), MixedFront())


def test_a_report_has_its_picture_text_and_lineage(result: Any, tmp_path: Path) -> None:
    path = write_report(result, tmp_path / "c" / "report", references=[ReferencePoint("oracle", 0.5, 0.7)])
    text = path.read_text()
    winner = balanced_member(result)
    assert (path.parent / "pareto.png").read_bytes().startswith(b"\x89PNG")
    assert f"## Chosen: candidate {winner}" in text
    assert result.archive.digest() in text
    assert "| oracle | 0.7 | 0.5 |" in text
    assert sorted(file.name for file in path.parent.iterdir()) == ["lineage.json", "pareto.png", "report.md"]


def test_the_lineage_leads_from_the_winner_back_to_candidates_without_parents(result: Any, tmp_path: Path) -> None:
    write_report(result, tmp_path)
    document = json.loads((tmp_path / "lineage.json").read_text())
    known = {entry["index"]: entry for entry in document["candidates"]}
    assert document["winner"] == balanced_member(result)
    assert all(parent in known for entry in known.values() for parent in entry["parents"])
    assert known[document["winner"]]["dna"] == result.scored[document["winner"]].candidate.genome.hash
    line = ancestry(result.scored, document["winner"])
    assert line[0].candidate.parents == ()
    assert all(child.candidate.parents[0] == parent.candidate.index for parent, child in itertools.pairwise(line))


def test_a_chosen_winner_is_the_one_reported(result: Any, tmp_path: Path) -> None:
    other = result.archive.members[-1].index
    assert f"## Chosen: candidate {other}" in write_report(result, tmp_path, winner=other).read_text()


def test_the_balanced_member_is_on_the_front_and_the_best_of_one_objective(spec_for: Make, run: Make) -> None:
    menu = run(spec_for(Menu(), max_evaluations=80), Menu())
    scores = [one.evaluation.scores["right"].value for one in menu.scored]
    assert balanced_member(menu) == scores.index(max(scores))


def test_a_campaign_without_any_score_has_a_report_too(spec_for: Make, run: Make, tmp_path: Path) -> None:
    class Hopeless(MixedFront):
        def evaluate(self, genome: Any) -> Any:
            raise RuntimeError("no | table\nat all")

    text = write_report(run(spec_for(MixedFront(), max_evaluations=5), Hopeless()), tmp_path).read_text()
    assert "no candidate could be scored" in text
    assert "| 5 | RuntimeError: no \\| table |" in text


def test_one_objective_is_drawn_over_the_evaluations(spec_for: Make, run: Make, tmp_path: Path) -> None:
    write_report(run(spec_for(Menu(), max_evaluations=20), Menu()), tmp_path)
    assert (tmp_path / "pareto.png").stat().st_size > 5_000
