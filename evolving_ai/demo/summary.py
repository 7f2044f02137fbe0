"""What a demonstration showed, in a line."""

from evolving_ai.demo.baseline_step import EVOLVED, SEED
from evolving_ai.demo.record import DemoRecord

__all__ = ["summary_line"]


def summary_line(record: DemoRecord) -> str:
    """The figures that matter; a part that was not reached is left out."""
    parts = [_evolved(record), _caught(record), _outage(record), _served(record)]
    return "; ".join(part for part in parts if part)


def _evolved(record: DemoRecord) -> str:
    rows = {row.name: row for row in record.rows}
    if EVOLVED not in rows or SEED not in rows or record.gain is None:
        return ""
    gain, low, high = record.gain
    cost, before = rows[EVOLVED].cost_usd_per_1k, rows[SEED].cost_usd_per_1k
    share = f" at {cost / before:.0%} of its cost" if before else ""
    return f"evolved less seed DNA: {gain:+.1f} points ({low:+.1f} to {high:+.1f}){share}"


def _caught(record: DemoRecord) -> str:
    if record.bad is None:
        return ""
    canary = record.bad.view["requests"]["canary"]
    told = (
        "" if record.bad.exchange_s is None else f", on every replica {record.bad.exchange_s:.2f} s after the verdict"
    )
    return f"a harmful DNA was rolled back by the evidence of {canary:,} canary requests{told}"


def _outage(record: DemoRecord) -> str:
    outage = record.outage
    return "" if outage is None else f"{outage.failed_over:,} requests of an outage were answered by another model"


def _served(record: DemoRecord) -> str:
    answers = sum(sum(second.answers.values()) for second in record.traffic)
    failed = sum(second.failed for second in record.traffic)
    return f"{failed} of {answers + failed:,} requests failed, in {record.seconds:.0f} s"
