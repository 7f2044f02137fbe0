"""Routing campaigns: from a campaign file to a search, and from its result to a commit, a table and a report."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evolving_ai._common.rng import derive_rng
from evolving_ai.decision.cost_quality import CurvePoint, Interval, bootstrap_interval, oracle_choice, single_points
from evolving_ai.decision.operating_point import Contender, choose_operating_point
from evolving_ai.decision.outcome_table import OutcomeTable, RequestTable, has_split, load_outcomes, load_requests
from evolving_ai.decision.replay import replay_greedy
from evolving_ai.decision.replay_evaluator import FITNESS, ROUTING_OBJECTIVES, ReplayEvaluator, ReplaySettings
from evolving_ai.domain.dna import Commit, Genome
from evolving_ai.domain.genes import SearchSpace
from evolving_ai.domain.mutation import Mutation, changes_between
from evolving_ai.domain.safety import safety_score
from evolving_ai.errors import CampaignError, CorruptionError, DataError, SettingsError
from evolving_ai.evolution.campaign import CampaignSpec, Target
from evolving_ai.evolution.pareto_plot import ReferencePoint
from evolving_ai.evolution.result import CampaignResult
from evolving_ai.stores.history import DnaHistory
from evolving_ai.wiring.campaign_file import RoutingCampaignFile, TargetScore
from evolving_ai.wiring.replay import fitted_policy

__all__ = ["RoutingEvaluatorFactory", "RoutingRun", "TableRow", "branch_of", "plan", "restore"]

_AUTHOR = "evolving-ai"


@dataclass(frozen=True, slots=True)
class RoutingEvaluatorFactory:
    """Builds the evaluator where it runs; carries the train split, so that no worker needs the file."""

    table: OutcomeTable
    settings: ReplaySettings

    def __call__(self) -> ReplayEvaluator:
        return ReplayEvaluator(self.table, self.settings)


@dataclass(frozen=True, slots=True)
class TableRow:
    """A line of the result table: quality of 100 with its 95 % bootstrap interval, USD per 1,000 requests."""

    name: str
    model: str | None
    quality: Interval
    cost_usd_per_1k: float


@dataclass(frozen=True)
class RoutingRun:
    """A campaign that is ready to run: its spec, and the data that it learns from."""

    spec: CampaignSpec
    data: Path
    context: tuple[str, ...]
    train: OutcomeTable
    settings: ReplaySettings
    max_cost_share: float
    start_commit: str

    @property
    def evaluator_factory(self) -> RoutingEvaluatorFactory:
        return RoutingEvaluatorFactory(self.train, self.settings)

    def winner(self, result: CampaignResult) -> int:
        """The index of the chosen candidate, by its figures on held-out folds of the train split alone.

        Where a fitness was asked for, the fittest wins (the earlier of equals), else the best at the operating point.
        """
        target = self.spec.target
        fitness = {
            one.candidate.index: one.evaluation.measures.get(FITNESS, 0.0)
            for one in result.scored
            if one.evaluation is not None and one.evaluation.failure is None
        }
        if target is not None and target.objective == FITNESS and fitness:
            return max(fitness, key=lambda index: (fitness[index], -index))
        contenders = [
            Contender(
                index=one.candidate.index,
                quality=one.evaluation.scores["quality"].value,
                quality_error=one.evaluation.scores["quality"].standard_error,
                cost_usd_per_1k=one.evaluation.scores["cost_usd_per_1k"].value,
                cost_error=one.evaluation.scores["cost_usd_per_1k"].standard_error,
                aiq=one.evaluation.measures.get("aiq", 0.0),
            )
            for one in result.scored
            if one.evaluation is not None and one.evaluation.failure is None
        ]
        if not contenders:
            raise CampaignError(f"campaign {self.spec.id} scored no candidate: see its report for the reasons")
        return choose_operating_point(contenders, self._max_cost_usd_per_1k()).index

    def is_within_limit(self, result: CampaignResult, winner: int) -> bool:
        """Whether the winner costs no more than the operating point allows; when none does, the cheapest wins."""
        evaluation = result.scored[winner].evaluation
        return evaluation is not None and evaluation.scores["cost_usd_per_1k"].value <= self._max_cost_usd_per_1k()

    def _max_cost_usd_per_1k(self) -> float:
        return self.max_cost_share * self._best_single()[1].cost_usd_per_1k

    def _best_single(self) -> tuple[str, CurvePoint]:
        singles = single_points(self.train)
        model = min(singles, key=lambda name: (-singles[name].quality, singles[name].cost_usd_per_1k))
        return model, singles[model]

    def _cheapest(self) -> tuple[str, CurvePoint]:
        singles = single_points(self.train)
        model = min(singles, key=lambda name: (singles[name].cost_usd_per_1k, -singles[name].quality))
        return model, singles[model]

    def references(self) -> tuple[ReferencePoint, ...]:
        """Single models on the train split, for the plot."""
        named = {"cheapest": self._cheapest(), "best single": self._best_single()}
        return tuple(
            ReferencePoint(f"{role}: {model}", point.cost_usd_per_1k, point.quality)
            for role, (model, point) in named.items()
        )

    def commit(self, history: DnaHistory, result: CampaignResult, winner: int) -> Commit:
        """Commit the winner on the campaign's branch; doing it again changes nothing."""
        branch = branch_of(self.spec.id)
        branches = history.branches()
        genome = result.scored[winner].candidate.genome
        if branch not in branches:
            history.create_branch(branch, self.start_commit)
        tip = history.branches()[branch]
        if tip.genome.hash == genome.hash:
            return tip
        return history.append(
            branch,
            genome,
            author=_AUTHOR,
            message=f"Campaign {self.spec.id}: candidate {winner} of {result.evaluations}",
            mutation=self._mutation(tip.genome, result, winner),
            evaluations=(f"{self.spec.id}/{winner}",),
        )

    def _mutation(self, before: Genome, result: CampaignResult, winner: int) -> Mutation:
        changes = changes_between(before.genes, result.scored[winner].candidate.genome.genes)
        space = self.spec.space
        components = sorted({space.component_of(change.gene) for change in changes if change.gene in space})
        return Mutation(
            id=f"mut-{self.spec.id}-{winner}",
            type="campaign",
            target_components=tuple(components),
            changes=changes,
            safety_score=safety_score(changes, space),
            test_results={"within_cost_limit": self.is_within_limit(result, winner)},
        )

    def held_out_table(self, genome: Genome) -> tuple[tuple[TableRow, ...], Interval | None] | None:
        """How the genome fares on the test split beside single models and the oracle; None without a test split.

        Single models are chosen on train; where another one turns out best on test, it has a line too. The second
        value is the paired difference in quality to the best single, None where the test split lacks that model.
        """
        if not has_split(self.data, "test"):
            return None
        requests = load_requests(self.data, split="test", context=self.context)
        outcomes = load_outcomes(self.data, split="test", context=self.context)
        return _Comparison(self, requests, outcomes).rows(genome)


class _Comparison:
    """The result table: every line scored on the same queries."""

    def __init__(self, run: RoutingRun, requests: RequestTable, outcomes: OutcomeTable) -> None:
        self._run = run
        self._requests = requests
        self._outcomes = outcomes
        self._rng = derive_rng(run.spec.seed, "bootstrap")

    def rows(self, genome: Genome) -> tuple[tuple[TableRow, ...], Interval | None] | None:
        """The lines, over answers whose outcome was recorded; None when that is so for none of the chosen ones."""
        cheapest, best = self._run._cheapest()[0], self._run._best_single()[0]  # noqa: SLF001 - one idea, two classes
        engine, weights = fitted_policy(self._run.train.with_models(self._requests.models), genome, 1)
        decisions = replay_greedy(engine, self._requests, weights, seed=self._run.spec.seed)
        evolved, cost = decisions.outcomes(self._outcomes)[0]
        if np.isnan(evolved).all():
            return None
        rows = np.arange(len(self._outcomes))
        oracle = oracle_choice(self._outcomes)
        singles = single_points(self._outcomes)
        named = (("cheapest model", cheapest), ("best single model", best))
        table = [self._single(name, model) for name, model in named if model in singles]
        references = len(table)
        table.append(self._row("evolved policy", None, evolved, cost))
        table.append(
            self._row("oracle", None, self._outcomes.score[rows, oracle], self._outcomes.cost_usd[rows, oracle])
        )
        in_hindsight = min(singles, key=lambda name: (-singles[name].quality, singles[name].cost_usd_per_1k))
        if in_hindsight != best:
            table.insert(references, self._single("best single in hindsight", in_hindsight))
        if best not in singles:
            return tuple(table), None
        gain = evolved - self._outcomes.score[:, self._outcomes.models.index(best)]
        both_known = ~np.isnan(gain)
        return tuple(table), bootstrap_interval(100 * gain[both_known], self._rng) if both_known.any() else None

    def _single(self, name: str, model: str) -> TableRow:
        column = self._outcomes.models.index(model)
        return self._row(name, model, self._outcomes.score[:, column], self._outcomes.cost_usd[:, column])

    def _row(self, name: str, model: str | None, score: Any, cost: Any) -> TableRow:
        known = ~np.isnan(score)
        quality = bootstrap_interval(100 * score[known], self._rng)
        return TableRow(name, model, quality, float(cost[known].mean() * 1000))


def branch_of(campaign_id: str) -> str:
    """The branch on which a campaign commits its winner."""
    return f"campaign/{campaign_id}"


def plan(campaign: RoutingCampaignFile, campaign_id: str, history: DnaHistory, space: SearchSpace) -> RoutingRun:
    """Make a campaign file into a campaign. Errors of the file, its data and its REF are raised here."""
    if campaign.data is None:
        raise DataError("the campaign names no data: write `data:` into its file, or give --data")
    start = history.resolve(campaign.start_from)
    space.validate(start.genome.genes)
    about = {
        "kind": "routing",
        "data": str(campaign.data),
        "context": list(campaign.context),
        "folds": campaign.folds,
        "utility_cost_weight": float(campaign.utility_cost_weight),
        "max_cost_share": float(campaign.operating_point.max_cost_share),
        "start_commit": start.hash,
        "executor": campaign.executor,
        "workers": campaign.workers,
    }
    train = load_outcomes(campaign.data, split="train", context=campaign.context)
    if has_split(campaign.data, "test"):
        load_outcomes(campaign.data, split="test", context=campaign.context)  # a bad row is found now, not at the end
    if len(train) < campaign.folds:
        raise DataError(f"{campaign.data} has {len(train)} train queries, expected one or more in each fold: set folds")
    spec = CampaignSpec(
        id=campaign_id,
        seed=campaign.seed,
        max_evaluations=campaign.evals,
        objectives=ROUTING_OBJECTIVES,
        space=space,
        base=(start.genome,),
        free=_free_genes(campaign, space),
        window=campaign.window,
        target=_target(campaign.target),
        wall_clock_s=None if campaign.time_limit_s is None else float(campaign.time_limit_s),
        deadline_s=float(campaign.deadline_s),
        about={**about, "fingerprint": train.fingerprint()},
    )
    return _run_of(spec, train)


def _target(asked: TargetScore | None) -> Target | None:
    if asked is None:
        return None
    return Target(asked.objective, float(asked.value), is_measure=asked.objective == FITNESS)


def _free_genes(campaign: RoutingCampaignFile, space: SearchSpace) -> tuple[str, ...]:
    """The genes that may change; without context columns the gene that scales them would be a blind spot."""
    chosen = [gene.name for gene in space.only(campaign.genes)]
    free = tuple(name for name in chosen if campaign.context or name != "features.context")
    if not free:  # to a search, no name at all means every gene
        raise SettingsError("`genes:` leaves nothing to change: name genes or groups, or give `context:` columns")
    return free


def restore(spec: CampaignSpec) -> RoutingRun:
    """The campaign of a stored spec. CampaignError when its data is not what it was."""
    about = spec.about
    try:
        data, context, fingerprint = Path(about["data"]), tuple(about["context"]), about["fingerprint"]
    except KeyError as exc:
        raise CorruptionError(f"campaign {spec.id} does not say what it is about ({exc} is missing)") from exc
    train = load_outcomes(data, split="train", context=context)
    if train.fingerprint() != fingerprint:
        raise CampaignError(f"{data} has changed since campaign {spec.id} began: put the old table back, or start anew")
    return _run_of(spec, train)


def _run_of(spec: CampaignSpec, train: OutcomeTable) -> RoutingRun:
    about: Mapping[str, Any] = spec.about
    settings = ReplaySettings(folds=about["folds"], seed=spec.seed, utility_cost_weight=about["utility_cost_weight"])
    return RoutingRun(
        spec=spec,
        data=Path(about["data"]),
        context=tuple(about["context"]),
        train=train,
        settings=settings,
        max_cost_share=about["max_cost_share"],
        start_commit=about["start_commit"],
    )
