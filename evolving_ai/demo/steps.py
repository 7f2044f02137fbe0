"""The steps of a demonstration, in their order."""

from collections.abc import Mapping
from pathlib import Path

from evolving_ai.demo.baseline_step import EVOLVED, measure_baselines, told_row
from evolving_ai.demo.demonstration import Demonstration
from evolving_ai.demo.evolution_step import evolve
from evolving_ai.demo.harm_step import roll_out_harm
from evolving_ai.demo.lineage import lineage_of
from evolving_ai.demo.measuring import measured_row, paired_gain
from evolving_ai.demo.outage_step import break_provider
from evolving_ai.demo.rollout_step import roll_out_winner
from evolving_ai.demo.traffic import Answered

__all__ = ["STEPS", "finish", "take_steps"]

STEPS = 7
_BASELINES = "Ask held-out questions: what there is before anything evolves"
_EVOLUTION = "Evolve the routing policy on recorded outcomes, while visitors ask"
_ROLLOUT = "Roll the winner out: gates, then a canary that visitors decide about"
_HARM = "Roll out a DNA that only live evidence can catch"
_OUTAGE = "Let the provider of the most used model fail"
_FINISH = "Write the report"
_DRAINED_WITHIN_S = 30.0


def take_steps(demo: Demonstration, table: Path) -> None:
    """Steps 2 to 6. An EvolvingAIError when one did not do what it should."""
    demo.teller.begin(2, STEPS, _BASELINES)
    seed_answers = measure_baselines(demo)
    demo.teller.begin(3, STEPS, _EVOLUTION)
    winner = evolve(demo, table)
    demo.teller.begin(4, STEPS, _ROLLOUT)
    roll_out_winner(demo, winner, lambda headers: _measure_evolved(demo, headers, seed_answers))
    demo.teller.begin(5, STEPS, _HARM)
    roll_out_harm(demo, winner)
    demo.teller.begin(6, STEPS, _OUTAGE)
    break_provider(demo)


def _measure_evolved(demo: Demonstration, headers: Mapping[str, str], before: list[Answered]) -> None:
    answers = demo.measured(None, headers)
    row = measured_row(EVOLVED, answers, demo.settings.seed)
    demo.record.rows.insert(-1, row)  # the oracle stays last
    gain = paired_gain(answers, before, demo.settings.seed)
    demo.record.gain = (gain.value, gain.low, gain.high)
    demo.teller.tell(told_row(row))


def finish(demo: Demonstration) -> None:
    """Step 7: let the last visitors have their answers, and gather what the report shows beside."""
    demo.teller.begin(7, STEPS, _FINISH)
    demo.traffic.set_rate(0.0)
    demo.wait_until(lambda: demo.traffic.in_flight == 0, _DRAINED_WITHIN_S, "the last answers did not come")
    demo.record.traffic = list(demo.traffic.log.seconds())
    demo.record.failures = dict(demo.traffic.log.reasons)
    demo.record.lineage = lineage_of(demo.platform.home)
