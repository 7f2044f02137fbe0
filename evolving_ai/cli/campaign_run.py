"""What `evolve` and `campaign resume` show: progress while a campaign runs, and its outcome."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

from evolving_ai.cli.output import note, print_json, print_table, print_text
from evolving_ai.errors import EvolvingAIError, UsageError

if TYPE_CHECKING:
    from evolving_ai.evolution.progress import Progress
    from evolving_ai.wiring.campaign_runs import FinishedCampaign

__all__ = ["ProgressView", "print_outcome", "terminated_like_interrupted"]

_LINE_EVERY_S = 5.0


@contextlib.contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM (a stopped Ray job, a service manager) ends a campaign as tidily as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class ProgressView:
    """Progress on stderr: a live bar in a terminal, a line every few seconds elsewhere. A context manager."""

    def __init__(self) -> None:
        self._campaign = ""
        self._last_line_s = 0.0
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        if not self._campaign or kind is None:
            return
        how = f"`evolving-ai campaign resume {self._campaign}` goes on with it"
        if issubclass(kind, KeyboardInterrupt):
            note(f"campaign {self._campaign} is stopped: {how}")
        elif issubclass(kind, EvolvingAIError) and not issubclass(kind, UsageError):
            note(f"campaign {self._campaign} is kept: {how}")

    def start(self, campaign_id: str) -> None:
        """The campaign is about to evaluate."""
        self._campaign = campaign_id
        note(f"campaign {campaign_id}")
        if sys.stderr.isatty():
            self._bar = _new_bar()
            self._bar.start()
            self._task = self._bar.add_task("", total=None)

    def show(self, progress: "Progress") -> None:
        """One moment of the campaign."""
        if self._bar is not None:
            self._bar.update(self._task, completed=progress.done, total=progress.total, description=_describe(progress))
        elif progress.elapsed_s - self._last_line_s >= _LINE_EVERY_S or progress.done == progress.total:
            self._last_line_s = progress.elapsed_s
            note(f"{progress.done}/{progress.total} {_describe(progress)}, {_time_left(progress)}")


def _new_bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(bar_width=30), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _describe(progress: "Progress") -> str:
    best = ", ".join(f"best {name} {value:.4g}" for name, value in progress.best.items())
    failed = f", {progress.failed} failed" if progress.failed else ""
    parts = (best, f"front {progress.front_size}", f"{progress.evaluations_per_s:.1f} evaluations/s")
    return ", ".join(part for part in parts if part) + failed


def _time_left(progress: "Progress") -> str:
    return "time left unknown" if progress.left_s is None else f"{progress.left_s:.0f} s left"


def print_outcome(finished: "FinishedCampaign", *, json: bool) -> None:
    """The result table, then where the winner and the report are."""
    if not finished.is_within_limit:
        note(_why_so_dear(finished))
    if json:
        print_json(_document(finished))
        return
    if finished.table is not None:
        print_table(
            ("on the test split", "model", "quality", "95 % interval", "$/1k requests"),
            [
                (
                    row.name,
                    row.model,
                    f"{row.quality.value:.2f}",
                    f"{row.quality.low:.2f} to {row.quality.high:.2f}",
                    f"{row.cost_usd_per_1k:.4f}",
                )
                for row in finished.table
            ],
        )
        gain = finished.gain_over_best_single
        if gain is not None:
            print_text(
                f"evolved less best single, paired: {gain.value:+.2f} points ({gain.low:+.2f} to {gain.high:+.2f})"
            )
    result = finished.result
    print_text(f"campaign {result.spec.id}: {result.state} ({result.reason}), {result.evaluations} evaluations")
    print_text(
        f"winner   candidate {finished.winner}, DNA {finished.commit.genome.hash[:12]}, branch {_branch(finished)}"
    )
    print_text(f"report   {finished.report}")


def _why_so_dear(finished: "FinishedCampaign") -> str:
    target = finished.result.spec.target
    if target is not None and target.is_measure:
        return f"the best in {target.objective} was taken: it costs more than operating_point.max_cost_share asks"
    return "no candidate is as cheap as operating_point.max_cost_share asks: the cheapest was taken"


def _branch(finished: "FinishedCampaign") -> str:
    from evolving_ai.wiring.routing_campaign import branch_of

    return branch_of(finished.result.spec.id)


def _document(finished: "FinishedCampaign") -> dict[str, Any]:
    result = finished.result
    evaluation = result.scored[finished.winner].evaluation
    gain = finished.gain_over_best_single
    rows = finished.table or ()
    return {
        "campaign": result.spec.id,
        "state": str(result.state),
        "reason": result.reason,
        "evaluations": result.evaluations,
        "elapsed_s": result.elapsed_s,
        "archive_digest": result.archive.digest(),
        "front_size": len(result.archive),
        "winner": finished.winner,
        "within_cost_limit": finished.is_within_limit,
        "dna": finished.commit.genome.hash,
        "commit": finished.commit.hash,
        "branch": _branch(finished),
        "held_out_folds": None if evaluation is None else evaluation.to_json(),
        "table": [
            {
                "name": row.name,
                "model": row.model,
                "quality": row.quality.value,
                "quality_low": row.quality.low,
                "quality_high": row.quality.high,
                "cost_usd_per_1k": row.cost_usd_per_1k,
            }
            for row in rows
        ],
        "gain_over_best_single": None if gain is None else [gain.value, gain.low, gain.high],
        "report": str(finished.report),
    }
