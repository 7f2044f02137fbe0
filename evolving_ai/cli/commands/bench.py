"""`evolving-ai bench`: run a benchmark of the source tree and print its figures."""

import importlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import evolving_ai
from evolving_ai.cli.campaign_run import terminated_like_interrupted
from evolving_ai.cli.options import JsonOption, new_app
from evolving_ai.cli.output import note, print_json, print_table
from evolving_ai.errors import UsageError

__all__ = ["app"]

app = new_app("Measure against the bars, and print how each fared.")

_DATA_VARIABLE = "EVOLVING_AI_DATA"


@app.command()
def bench(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which benchmark: `loop`, ...")],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Folder with outcome tables [default: $EVOLVING_AI_DATA, else experiments/data].",
            show_default=False,
        ),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Also the arms that take long.")] = False,
    json: JsonOption = False,
) -> None:
    """Measure against the bars, and print how each fared; a bar that falls short is a result, not a failure."""
    experiments = _experiments()
    benchmark = _load(experiments, name)
    folder = data or Path(os.environ.get(_DATA_VARIABLE) or experiments / "data")
    with terminated_like_interrupted():
        outcome = benchmark.run(folder.expanduser(), is_full=full, note=note).to_json()
    if json:
        print_json({"benchmark": name, **outcome})
    else:
        _print(outcome)


def _experiments() -> Path:
    """The folder of the source tree that holds the benchmarks; UsageError when the package was installed without."""
    folder = Path(evolving_ai.__file__).resolve().parents[1] / "experiments"
    if not (folder / "benchmarks").is_dir():
        raise UsageError("the benchmarks are not part of the installed package: run from a checkout of the source")
    return folder


def _load(experiments: Path, name: str) -> Any:
    known = sorted(path.parent.name for path in (experiments / "benchmarks").glob("*/benchmark.py"))
    if name not in known:
        raise UsageError(f"no benchmark {name!r}: expected one of {', '.join(known)}")
    root = str(experiments.parent)
    if root not in sys.path:
        sys.path.insert(0, root)
    return importlib.import_module(f"experiments.benchmarks.{name}.benchmark")


def _print(outcome: dict[str, Any]) -> None:
    rows = []
    for bar in outcome["bars"]:
        low, high = bar.get("interval", (None, None))
        interval = "" if low is None else f"{low:.4g} to {high:.4g}"
        verdict = "" if bar["bar"] is None else "ok" if bar["ok"] else "falls short"
        rows.append((bar["name"], f"{bar['value']:.5g}", bar["unit"], interval, bar["bar"], verdict))
    print_table(("figure", "value", "unit", "95 % interval", "bar", "verdict"), rows)
