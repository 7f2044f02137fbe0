"""A campaign's report: a picture, a text for people, and the winner's lineage for programs."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from evolving_ai._common.files import disk_errors, write_atomically
from evolving_ai.domain.fitness import Evaluation, Objective
from evolving_ai.domain.genes import GeneValue
from evolving_ai.domain.mutation import changes_between
from evolving_ai.evolution.candidate import Scored
from evolving_ai.evolution.lineage import ancestry, lineage_document
from evolving_ai.evolution.pareto_plot import ReferencePoint, draw_pareto
from evolving_ai.evolution.result import CampaignResult

__all__ = ["balanced_member", "report_text", "write_report"]

_MOST_ROWS = 40


def balanced_member(result: CampaignResult) -> int | None:
    """The front member nearest to the ideal point, the objectives scaled to the front's range; None: no front.

    With one objective that is the best candidate. Ties go to the earlier one.
    """
    gains = result.archive.gains
    if len(gains) == 0:
        return None
    low, high = gains.min(axis=0), gains.max(axis=0)
    spans = [float(span) if span > 0 else 1.0 for span in high - low]
    distance = (((high - gains) / spans) ** 2).sum(axis=1)
    members = [result.archive.member(position).index for position in range(len(gains))]
    return min(zip(distance.tolist(), members, strict=True))[1]


def write_report(
    result: CampaignResult,
    folder: Path,
    *,
    winner: int | None = None,
    references: Sequence[ReferencePoint] = (),
) -> Path:
    """Write `pareto.png`, `report.md` and `lineage.json` into `folder` (created), each of them whole or not at all.

    `winner` is the chosen candidate (default: `balanced_member`). Returns the path of `report.md`.
    """
    chosen = balanced_member(result) if winner is None else winner
    with disk_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomically(folder / "pareto.png", draw_pareto(result, winner=chosen, references=references))
    lineage = {} if chosen is None else lineage_document(result.scored, chosen)
    write_atomically(folder / "lineage.json", (json.dumps(lineage, indent=2, ensure_ascii=False) + "\n").encode())
    text = report_text(result, winner=chosen, references=references)
    write_atomically(folder / "report.md", text.encode())
    return folder / "report.md"


def report_text(result: CampaignResult, *, winner: int | None, references: Sequence[ReferencePoint] = ()) -> str:
    """The report in Markdown."""
    parts = [
        f"# Campaign {result.spec.id}\n",
        _asked(result),
        "![All candidates and the front](pareto.png)\n",
        _winner(result, winner),
        _front(result, winner),
        _references(result, references),
        _emitters(result),
        _lineage(result, winner),
        _failures(result),
    ]
    return "\n".join(part for part in parts if part)


def _asked(result: CampaignResult) -> str:
    spec = result.spec
    goals = ", ".join(f"{objective.direction} {_title(objective)}" for objective in spec.objectives)
    target = "" if spec.target is None else f" Target: {spec.target.objective} {spec.target.value:g}."
    free = ", ".join(spec.free) or "all genes"
    share = result.controller_s / result.elapsed_s if result.elapsed_s > 0 else 0.0
    return (
        f"Asked: {goals}; changing {free}; at most {spec.max_evaluations} evaluations, seed {spec.seed}, "
        f"window {spec.window}.{target}\n\n"
        f"State: **{result.state}** ({result.reason}) after {result.evaluations} evaluations in "
        f"{result.elapsed_s:.1f} s; evaluators were busy for {result.busy_s:.1f} s, "
        f"the search itself took {share:.0%} of the time.\n\n"
        f"Archive digest: `{result.archive.digest()}` (the same for every run with this seed and evaluator).\n"
    )


def _winner(result: CampaignResult, winner: int | None) -> str:
    if winner is None:
        return "## Chosen\n\nNothing: no candidate could be scored.\n"
    one, incumbent = result.scored[winner], result.incumbent
    rows = [
        [_title(objective), *(_score(other.evaluation, objective) for other in (incumbent, one))]
        for objective in result.spec.objectives
    ]
    changes = changes_between(incumbent.candidate.genome.genes, one.candidate.genome.genes)
    changed = [[change.gene, _gene(change.before), _gene(change.after)] for change in changes]
    genes = _table(("gene", "incumbent", "chosen"), changed) if changed else "No gene differs: the incumbent stands.\n"
    return (
        f"## Chosen: candidate {winner}\n\nDNA `{one.candidate.genome.hash}`\n\n"
        f"{_table(('objective', 'incumbent', 'chosen'), rows)}\n{genes}"
    )


def _front(result: CampaignResult, winner: int | None) -> str:
    first = result.spec.objectives[0]
    members = sorted(result.front, key=lambda one: (-_gain(one, first), one.candidate.index))
    rows = [
        [
            f"**{one.candidate.index}**" if one.candidate.index == winner else str(one.candidate.index),
            f"`{one.candidate.genome.hash[:12]}`",
            *(_score(one.evaluation, objective) for objective in result.spec.objectives),
            one.candidate.operator,
        ]
        for one in members[:_MOST_ROWS]
    ]
    more = f"\n... and {len(members) - _MOST_ROWS} more.\n" if len(members) > _MOST_ROWS else ""
    header = ("candidate", "dna", *(_title(objective) for objective in result.spec.objectives), "operator")
    return f"## Front ({len(members)})\n\n{_table(header, rows)}{more}"


def _references(result: CampaignResult, references: Sequence[ReferencePoint]) -> str:
    if not references or len(result.spec.objectives) < 2:
        return ""
    vertical, horizontal = result.spec.objectives[:2]
    rows = [[point.name, f"{point.y:.6g}", f"{point.x:.6g}"] for point in references]
    return f"## For comparison\n\n{_table(('', _title(vertical), _title(horizontal)), rows)}"


def _emitters(result: CampaignResult) -> str:
    done = [one for one in result.scored if one.evaluation is not None]
    candidates = Counter(one.candidate.emitter for one in done)
    improvements = Counter(one.candidate.emitter for one in done if one.entered)
    rows = [
        [name, str(count), str(improvements[name]), f"{improvements[name] / count:.1%}"]
        for name, count in candidates.most_common()
    ]
    header = ("emitter", "candidates", "entered the front", "share")
    return f"## Who proposed what\n\n{_table(header, rows)}"


def _lineage(result: CampaignResult, winner: int | None) -> str:
    if winner is None:
        return ""
    rows = [
        [
            str(one.candidate.index),
            one.candidate.operator,
            ", ".join(str(parent) for parent in one.candidate.parents) or "none",
            *(_score(one.evaluation, objective) for objective in result.spec.objectives),
            _changed(one),
        ]
        for one in ancestry(result.scored, winner)
    ]
    header = ("candidate", "operator", "parents", *(_title(o) for o in result.spec.objectives), "changed")
    return f"## Lineage of the chosen\n\nThe line of first parents; `lineage.json` has all.\n\n{_table(header, rows)}"


def _changed(one: Scored) -> str:
    if one.candidate.mutation is None:
        return ""
    return ", ".join(f"`{change.gene}` {_gene(change.after)}" for change in one.candidate.mutation.changes)


def _failures(result: CampaignResult) -> str:
    reasons = Counter(
        one.evaluation.failure for one in result.scored if one.evaluation is not None and one.evaluation.failure
    )
    if not reasons:
        return ""
    rows = [[str(count), _cell(reason)] for reason, count in reasons.most_common(10)]
    return f"## Failures ({reasons.total()})\n\n{_table(('candidates', 'reason'), rows)}"


def _gain(one: Scored, objective: Objective) -> float:
    return objective.gain(one.evaluation.scores[objective.name].value) if one.evaluation is not None else float("-inf")


def _score(evaluation: Evaluation | None, objective: Objective) -> str:
    if evaluation is None or evaluation.failure is not None:
        return "failed" if evaluation is not None else ""
    score = evaluation.scores[objective.name]
    error = f" ± {score.standard_error:.2g}" if score.standard_error > 0 else ""
    return f"{score.value:.6g}{error}"


def _title(objective: Objective) -> str:
    return f"{objective.name} ({objective.unit})" if objective.unit else objective.name


def _gene(value: GeneValue | None) -> str:
    if value is None:
        return "absent"
    return f"{value:.6g}" if isinstance(value, float) else _cell(str(value))


def _cell(text: str) -> str:
    shown = " ".join(text.split()).replace("|", "\\|")
    return shown if len(shown) <= 120 else shown[:117] + "..."


def _table(header: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    columns = list(header)
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
