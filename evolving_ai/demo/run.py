"""One run of the demonstration, from an empty home to the last figure.

The rule kept here: however it ends, nothing of it runs any more, unless it ended well and was to be kept.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evolving_ai._common.clock import Clock
from evolving_ai._common.files import write_atomically
from evolving_ai._common.stop_request import StopRequest
from evolving_ai.decision.outcome_table import OutcomeTable, load_outcomes
from evolving_ai.demo.demonstration import Demonstration
from evolving_ai.demo.home import claimed_home, figures_path, report_path
from evolving_ai.demo.own_platform import started_platform, write_settings
from evolving_ai.demo.ports import Teller
from evolving_ai.demo.record import DemoRecord
from evolving_ai.demo.report import write_report
from evolving_ai.demo.settings import DemoSettings
from evolving_ai.demo.steps import STEPS, finish, take_steps
from evolving_ai.demo.traffic import Traffic, running_traffic
from evolving_ai.errors import DataError
from evolving_ai.wiring.replay_source import bundled_table

__all__ = ["Demonstrated", "run_demo"]

_START = "Start a platform of its own, over replay providers"


@dataclass(frozen=True, slots=True)
class Demonstrated:
    """What was shown. `url` is where the platform answers that was kept; None: nothing runs any more."""

    record: DemoRecord
    home: Path
    report: Path
    url: str | None


def run_demo(
    home: Path | None, port: int, settings: DemoSettings, clock: Clock, teller: Teller, *, keep: bool
) -> Demonstrated:
    """Show the whole loop in `home` (None: the default one); `port` 0 is a free one.

    An EvolvingAIError, in one line, when a step did not do what it should; KeyboardInterrupt when SIGINT or SIGTERM
    came. Everything that was started has ended then, too. Call it in the main thread.
    """
    request, started_s = StopRequest(), clock.monotonic_s()
    with request.listening(), claimed_home(home, clock, note=teller.tell) as folder:
        table = _table()
        record = DemoRecord(clock.now().isoformat(timespec="seconds"), latency_scale=settings.latency_scale)
        train, held_out = _questions(table, settings)
        teller.begin(1, STEPS, _START)
        write_settings(folder, table, settings.latency_scale, has_dashboard=keep)
        with started_platform(folder, port, clock, request, keep=keep, note=teller.show) as platform:
            teller.tell(f"it answers at {platform.url}, its home is {folder}")
            prompts = [each.prompt for each in held_out.requests]
            traffic = Traffic(
                platform.url, platform.key, prompts, clock,
                seed=settings.seed, most_in_flight=settings.most_in_flight,
            )  # fmt: skip
            with running_traffic(traffic):
                pause = _pause(request)
                demo = Demonstration(settings, platform, traffic, train, held_out, record, teller, clock, pause)
                take_steps(demo, table)
                finish(demo)
            record.seconds = clock.monotonic_s() - started_s
            write_report(record, report_path(folder))
            write_atomically(figures_path(folder), json.dumps(record.to_json(), allow_nan=False).encode())
            url = platform.url if keep else None
    return Demonstrated(record, folder, report_path(folder), url)


def _pause(request: StopRequest) -> Callable[[float], None]:
    def pause(seconds: float) -> None:
        request.wait(seconds)
        request.check()

    return pause


def _table() -> Path:
    table = bundled_table()
    if not table.is_file():
        raise DataError(f"{table} does not exist: the demo needs a checkout of the source, which it comes with")
    return table


def _questions(table: Path, settings: DemoSettings) -> tuple[OutcomeTable, OutcomeTable]:
    """What policies are fitted on, and the held-out questions that are asked."""
    held_out = load_outcomes(table, split="test")
    if settings.questions is not None:
        held_out = held_out.take(np.arange(min(settings.questions, len(held_out)), dtype=np.intp))
    return load_outcomes(table, split="train"), held_out
