"""`evolving-ai demo`: the whole loop on real data, within minutes."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from evolving_ai.cli.options import JsonOption, new_app
from evolving_ai.cli.output import note, note_dim, print_json, print_table, print_text

if TYPE_CHECKING:
    from evolving_ai._common.clock import Clock
    from evolving_ai.demo.run import Demonstrated

__all__ = ["DemoView", "app"]

app = new_app("Show the whole loop on real data, within minutes.")

_LINE_EVERY_S = 10.0
_REFRESHES_PER_S = 4


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Let the platform run on, to look around.")] = False,
    home: Annotated[
        Path | None,
        typer.Option("--home", help="An empty folder, or a former demo's [default: ~/.evolving-ai-demo]."),
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Where to listen; 0: a free port.")] = 0,
    json: JsonOption = False,
) -> None:
    """Serve, evolve, roll out, catch a harmful DNA, survive an outage: on a platform of its own, over recorded answers.

    No key is used and no model called. The exit code is 1 when a step did not do what it should, or a request failed.
    """
    from evolving_ai._common.clock import SystemClock
    from evolving_ai.demo.run import run_demo
    from evolving_ai.demo.settings import DemoSettings

    clock = SystemClock()
    with DemoView(clock) as view:
        done = run_demo(home, port, DemoSettings(), clock, view, keep=keep)
    if json:
        print_json({**done.record.to_json(), "report": str(done.report), "url": done.url})
    else:
        _print(done)
    if done.record.failures:
        reason, count = next(iter(done.record.failures.items()))
        note(f"error: {sum(done.record.failures.values())} requests failed ({count} of them: {reason})")
        raise typer.Exit(1)


class DemoView:
    """Progress on stderr: steps and what was found as lines; how it stands as a live line, or a line now and then."""

    def __init__(self, clock: "Clock") -> None:
        self._clock = clock
        self._begun_s = clock.monotonic_s()
        self._last_line_s = self._begun_s
        self._live: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.status import Status

            console = Console(stderr=True, markup=False, highlight=False)
            self._live = Status("", console=console, refresh_per_second=_REFRESHES_PER_S)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def begin(self, step: int, steps: int, title: str) -> None:
        """As the port says."""
        self._clear()
        note(f"{step}/{steps} {title} ({self._elapsed_s():.0f} s)")

    def tell(self, text: str) -> None:
        """As the port says."""
        self._clear()
        note(f"    {text}")

    def show(self, text: str) -> None:
        """As the port says."""
        if self._live is not None:
            self._live.update(_clipped(text))
        elif self._clock.monotonic_s() - self._last_line_s >= _LINE_EVERY_S:
            self._clear()
            note_dim(f"    {text}")

    def _clear(self) -> None:
        self._last_line_s = self._clock.monotonic_s()
        if self._live is not None:
            self._live.update("")

    def _elapsed_s(self) -> float:
        return self._clock.monotonic_s() - self._begun_s


def _clipped(text: str) -> str:
    return text if len(text) <= 150 else text[:149] + "…"


def _print(done: "Demonstrated") -> None:
    print_table(
        ("on held-out questions", "quality", "95 % interval", "$/1k requests", "p50 ms", "p95 ms"),
        [
            (
                row.name,
                f"{row.quality:.1f}",
                f"{row.quality_low:.1f} to {row.quality_high:.1f}",
                f"{row.cost_usd_per_1k:.4f}",
                f"{row.p50_s * 1000:.0f}",
                f"{row.p95_s * 1000:.0f}",
            )
            for row in done.record.rows
        ],
    )
    from evolving_ai.demo.summary import summary_line

    print_text(summary_line(done.record))
    print_text(f"report   {done.report}")
    if done.url is None:
        print_text(f"nothing runs any more; the home is {done.home}")
        return
    program = f"{Path(sys.executable).parent}/evolving-ai"
    print_text(f"platform {done.url}")
    for command in ("status", "rollout status", "dna live", "chat", "dashboard"):
        print_text(f"look     {program} {command} --home {done.home}")
    print_text(f"stop it  {program} down --home {done.home}")
