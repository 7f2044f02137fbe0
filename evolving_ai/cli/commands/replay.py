"""`evolving-ai replay`: decide recorded requests with a DNA, and write down what was decided."""

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from evolving_ai.cli.options import HomeOption, JsonOption, new_app
from evolving_ai.cli.output import note, print_json, print_table
from evolving_ai.domain.dna import Genome
from evolving_ai.errors import StorageError, UsageError
from evolving_ai.home import open_home
from evolving_ai.stores.history import MAIN
from evolving_ai.wiring.replay import ReplayFigures, ReplayRequest, figures, run_replay
from evolving_ai.wiring.search_space import search_space
from evolving_ai.wiring.stores import open_history

__all__ = ["app"]

app = new_app("Decide recorded requests with a DNA; write the decisions.")


class _Mode(StrEnum):
    GREEDY = "greedy"
    STREAM = "stream"


@app.command()
def replay(
    data: Annotated[Path, typer.Argument(metavar="DATA.parquet", help="Table of routing outcomes.")],
    decisions: Annotated[
        Path, typer.Option("--decisions", metavar="OUT.parquet", help="Where the decisions go.", show_default=False)
    ],
    dna: Annotated[
        str, typer.Option("--dna", metavar="REF", help="Branch, hash prefix, or one of them with ~n.")
    ] = MAIN,
    train: Annotated[
        Path | None,
        typer.Option("--train", metavar="TABLE.parquet", help="Fit on the train split of this table instead."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option("--split", help="Rows to decide; `all` is all [default: test; stream: all].", show_default=False),
    ] = None,
    mode: Annotated[
        _Mode, typer.Option("--mode", help="greedy: fitted, no exploration; stream: learning from its own choices.")
    ] = _Mode.GREEDY,
    points: Annotated[
        int, typer.Option("--points", min=1, max=1000, help="Cost weights: 1 is the DNA's own, more are a sweep.")
    ] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the explorer, in stream mode.")] = 0,
    context: Annotated[
        str, typer.Option("--context", metavar="COL,..", help="Extra columns a decision may read, coarse to fine.")
    ] = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Decide recorded requests with a DNA; write the decisions, then print how they fared."""
    request = ReplayRequest(
        data=data,
        train=train,
        genome=_genome(home, dna),
        split=_rows(split, mode),
        mode=mode.value,
        points=points,
        seed=seed,
        context=tuple(column.strip() for column in context.split(",") if column.strip()),
    )
    if decisions.resolve() in {data.resolve(), *(() if train is None else (train.resolve(),))}:
        raise UsageError(f"--decisions {decisions} would overwrite the table: name another file")
    if decisions.exists() and not (decisions.is_file() or decisions.is_dir()):
        raise UsageError(f"--decisions {decisions} is a device or a pipe: name a file")
    if not decisions.absolute().parent.is_dir():
        raise StorageError(f"--decisions {decisions}: expected a file in a folder that exists; create the folder first")
    decided = run_replay(request)
    decided.save(decisions)
    note(f"{len(decided)} decisions in {decisions}")
    fared = figures(request, decided)
    if json:
        print_json(_document(request, decisions, len(decided), fared))
        return
    if fared is None:
        note(f"{data} has no outcomes: nothing to compare the decisions with")
    else:
        _print(fared)


def _rows(split: str | None, mode: _Mode) -> str | None:
    """The split to decide, None for all rows."""
    if split == "all":
        return None
    return split or ("test" if mode is _Mode.GREEDY else None)


def _genome(home: Path | None, ref: str) -> Genome:
    with open_history(open_home(home)) as history:
        genome = history.resolve(ref).genome
    search_space().validate(genome.genes)
    return genome


def _document(request: ReplayRequest, path: Path, count: int, fared: ReplayFigures | None) -> dict[str, object]:
    document: dict[str, object] = {
        "dna": request.genome.hash,
        "mode": request.mode,
        "split": request.split,
        "seed": request.seed,
        "decisions": str(path),
        "count": count,
    }
    return document if fared is None else {**document, **_fared(fared)}


def _fared(fared: ReplayFigures) -> dict[str, object]:
    single = fared.best_single_point
    return {
        "points": [
            {
                "point": point.point,
                "cost_weight": point.cost_weight if math.isfinite(point.cost_weight) else None,
                "quality": point.quality,
                "cost_usd_per_1k": point.cost_usd_per_1k,
                "cost_usd": point.cost_usd,
            }
            for point in fared.points
        ],
        "aiq": fared.aiq,
        "best_single": {
            "model": fared.best_single,
            "quality": single.quality,
            "cost_usd_per_1k": single.cost_usd_per_1k,
        },
    }


def _print(fared: ReplayFigures) -> None:
    rows: list[tuple[object, ...]] = [
        (f"point {p.point}", f"{p.cost_weight:.4g}", f"{p.quality:.2f}", f"{p.cost_usd_per_1k:.4f}")
        for p in fared.points
    ]
    single = fared.best_single_point
    rows.append((f"always {fared.best_single}", "", f"{single.quality:.2f}", f"{single.cost_usd_per_1k:.4f}"))
    print_table(("policy", "cost weight", "quality", "$/1k requests"), rows)
    if fared.aiq is not None:
        note(f"AIQ {fared.aiq:.2f}")
