"""Quality at cost: evolve on the train split, decide the test split, compare with its best single model.

The campaign is the one that `evolving-ai evolve` runs, through the same function. Its winner is chosen on folds of
the train split; the best single model is chosen by its score on the test split, which no router could know.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evolving_ai._common.rng import derive_rng
from evolving_ai.decision.cost_quality import bootstrap_interval, single_points
from evolving_ai.decision.outcome_table import OutcomeTable
from evolving_ai.domain.dna import Genome
from evolving_ai.evolution.progress import Progress
from evolving_ai.home import open_home
from evolving_ai.wiring.campaign_file import RoutingCampaignFile, read_campaign_file
from evolving_ai.wiring.campaign_runs import start_campaign
from evolving_ai.wiring.replay import ReplayRequest, run_replay
from experiments.benchmarks.bar import Bar, Limit

__all__ = ["EVALUATIONS", "decided", "evolve", "quality_bars", "routing_campaign"]

EVALUATIONS = 400
_CAMPAIGN_FILE = Path(__file__).parents[2] / "campaigns" / "routing.yaml"
_SEED = 0
_NOTE_EVERY = 40


def routing_campaign(table: Path, **changes: object) -> RoutingCampaignFile:
    """The campaign file of the experiments, on `table`."""
    return read_campaign_file(_CAMPAIGN_FILE).model_copy(update={"data": table, **changes})


def evolve(home: Path, table: Path, note: Callable[[str], None]) -> Genome:
    """The winner of a campaign in a home of its own."""
    told = 0

    def show(progress: Progress) -> None:
        nonlocal told
        if progress.done >= told + _NOTE_EVERY:
            told = progress.done
            note(f"{progress.done}/{progress.total} evaluations, {progress.evaluations_per_s:.1f} per second")

    campaign = routing_campaign(table, evals=EVALUATIONS)
    return start_campaign(open_home(home), campaign, on_start=note, on_progress=show).commit.genome


def decided(
    genome: Genome, table: Path, test: OutcomeTable, points: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Score and cost (USD) of the answers that the genome chooses on the test split: float64[points, queries].

    It is fitted on the train split and sees the questions only: neither outcomes nor labels.
    """
    request = ReplayRequest(
        data=table, train=None, genome=genome, split="test", mode="greedy", points=points, seed=_SEED, context=()
    )
    decisions = run_replay(request)
    if tuple(decisions.query_ids[::points]) != test.query_ids:
        raise ValueError("the decisions are not in the order of the outcomes")
    by_point = sorted(decisions.outcomes(test).items())
    return np.array([score for _, (score, _) in by_point]), np.array([cost for _, (_, cost) in by_point])


def quality_bars(genome: Genome, table: Path, test: OutcomeTable) -> Iterator[Bar]:
    """The winner at its own operating point, paired with the best single model query by query."""
    score, cost = (values[0] for values in decided(genome, table, test, 1))
    singles = single_points(test)
    best = test.models.index(min(singles, key=lambda name: (-singles[name].quality, singles[name].cost_usd_per_1k)))
    gain = bootstrap_interval(100 * (score - test.score[:, best]), derive_rng(_SEED, "quality"))
    yield Bar("quality of the evolved policy", float(score.mean() * 100), "points of 100")
    yield Bar("quality of the best single model", float(test.score[:, best].mean() * 100), "points of 100")
    yield Bar("quality less best single model", gain.value, "points", Limit(">=", -0.5), (gain.low, gain.high))
    share = 100 * cost.mean() / test.cost_usd[:, best].mean()
    yield Bar("cost share of the best single model", float(share), "%", Limit("<=", 35), _ratio(cost, test, best))


def _ratio(cost: NDArray[np.float64], test: OutcomeTable, best: int) -> tuple[float, float]:
    count = len(cost)
    drawn = derive_rng(_SEED, "cost").multinomial(count, np.full(count, 1 / count), size=2000)
    low, high = np.quantile(100 * (drawn @ cost) / (drawn @ test.cost_usd[:, best]), [0.025, 0.975])
    return float(low), float(high)
