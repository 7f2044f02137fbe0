"""Step 2: the held-out questions, once each: by the seed DNA, by the cheapest model, and by the oracle."""

from evolving_ai.demo.demonstration import Demonstration
from evolving_ai.demo.measuring import cheapest_model, measured_row, oracle_models
from evolving_ai.demo.record import MeasuredRow
from evolving_ai.demo.traffic import Answered

__all__ = ["CHEAPEST", "EVOLVED", "ORACLE", "SEED", "measure_baselines", "told_row"]

CHEAPEST = "cheapest model"
SEED = "seed DNA"
EVOLVED = "evolved DNA"
ORACLE = "oracle"


def measure_baselines(demo: Demonstration) -> list[Answered]:
    """Fill the rows of what there is before anything evolves; the answers of the seed DNA."""
    ways = {
        CHEAPEST: [cheapest_model(demo.train)] * len(demo.held_out),
        SEED: None,
        ORACLE: oracle_models(demo.held_out),
    }
    answers = {}
    for name, models in ways.items():
        demo.teller.show(f"{name}: {len(demo.held_out)} questions")
        answers[name] = demo.measured(models)
        row = measured_row(name, answers[name], demo.settings.seed)
        demo.record.rows.append(row)
        demo.teller.tell(told_row(row))
    return answers[SEED]


def told_row(row: MeasuredRow) -> str:
    """A row in a line."""
    model, share = next(iter(row.shares.items()))
    return (
        f"{row.name}: quality {row.quality:.1f} of 100 ({row.quality_low:.1f} to {row.quality_high:.1f}), "
        f"${row.cost_usd_per_1k:.4f} for 1,000 requests, {share:.0%} by {model}"
    )
