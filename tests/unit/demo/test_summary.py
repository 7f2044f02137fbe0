"""The line of summary tells the figures that there are, and leaves out what was not reached."""

from evolving_ai.demo.record import DemoRecord, MeasuredRow, OutageFigures, RolloutFigures, TrafficSecond
from evolving_ai.demo.summary import summary_line
from tests.doubles.demo_world import rollout_view


def row(name: str, cost_usd_per_1k: float) -> MeasuredRow:
    return MeasuredRow(name, 65.0, 61.0, 69.0, cost_usd_per_1k, 0.2, 0.6, {"m": 1.0})


def test_everything_is_told() -> None:
    record = DemoRecord(
        seconds=113.4,
        rows=[row("seed DNA", 0.25), row("evolved DNA", 0.08)],
        gain=(1.04, -1.6, 3.8),
        bad=RolloutFigures(rollout_view("rolled_back"), 9.0, 100, 0, 400.0, 0.034),
        outage=OutageFigures("m", 4.5, 800, 0, 24, 0.4, 1.3),
        traffic=[TrafficSecond(0, {"m": 1200}, 0), TrafficSecond(1, {"m": 300}, 1)],
    )

    assert summary_line(record) == (
        "evolved less seed DNA: +1.0 points (-1.6 to +3.8) at 32% of its cost; a harmful DNA was rolled back by the "
        "evidence of 10 canary requests, on every replica 0.03 s after the verdict; 24 requests of an outage were "
        "answered by another model; 1 of 1,501 requests failed, in 113 s"
    )


def test_what_was_not_reached_is_left_out() -> None:
    assert summary_line(DemoRecord(seconds=3)) == "0 of 0 requests failed, in 3 s"
