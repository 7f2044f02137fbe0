"""The search: asks and admits in one fixed order, so that what it finds depends on results alone, never on timing.

The order for a window of w candidates: ask 0 to w - 1, admit 0, ask w, admit 1, ask w + 1, and so on; when nothing
more is asked, the rest is admitted in order. Whoever drives it may ask and admit only what `may_ask` and `may_admit`
allow, and that settles the order.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from evolving_ai._common.rng import derive_rng
from evolving_ai.domain.dna import Genome
from evolving_ai.domain.fitness import Evaluation
from evolving_ai.domain.genes import GeneValue
from evolving_ai.evolution.archives.pareto import Elite, ParetoArchive
from evolving_ai.evolution.campaign import CampaignSpec
from evolving_ai.evolution.candidate import Candidate, Scored
from evolving_ai.evolution.emitters.registry import make_emitter
from evolving_ai.evolution.free_space import FreeSpace
from evolving_ai.evolution.population import Population
from evolving_ai.evolution.portfolio import Portfolio
from evolving_ai.evolution.ports import Emitter, Outcome, Proposal

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Search"]

_ATTEMPTS = 12
"""How often an emitter may try again after a duplicate."""
_BLIND_ATTEMPTS = 32
"""How many blind samples are drawn before a finite space is enumerated for what is left."""


class Search:
    """The state of a campaign as a pure function of its spec and the evaluations admitted so far.

    No genome is asked for twice. Every candidate's generator is derived from the seed and its index.
    """

    def __init__(self, spec: CampaignSpec) -> None:
        self._spec = spec
        self._space = FreeSpace(spec.space, spec.free, spec.fixed)
        self._seeds = list({genome.hash: genome for genome in spec.base}.values())
        self._emitters: dict[str, Emitter] = {name: make_emitter(name) for name in dict.fromkeys(spec.emitters)}
        self._portfolio = Portfolio(tuple(self._emitters.values()))
        self._archive = ParetoArchive(spec.objectives, max_size=spec.archive_size)
        self._population = Population(self._space, self._archive, self._genes_of)
        self._scored: list[Scored] = []
        self._proposals: dict[int, Proposal] = {}
        self._seen: set[str] = set()
        self._rest: Iterator[dict[str, GeneValue]] | None = None
        self._admitted = 0
        self._is_exhausted = False
        self._is_target_reached = False

    @property
    def archive(self) -> ParetoArchive:
        """The front of what was admitted."""
        return self._archive

    @property
    def scored(self) -> Sequence[Scored]:
        """Every candidate asked for, in order, with its result once that is admitted."""
        return self._scored

    @property
    def asked(self) -> int:
        """How many candidates were asked for."""
        return len(self._scored)

    @property
    def admitted(self) -> int:
        """How many results were admitted: those of candidates 0 to `admitted` - 1."""
        return self._admitted

    @property
    def is_exhausted(self) -> bool:
        """Whether every genome of a finite space was asked for."""
        return self._is_exhausted

    @property
    def is_target_reached(self) -> bool:
        """Whether an admitted candidate reached the target; nothing is asked or admitted after it."""
        return self._is_target_reached

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to ask or to admit."""
        return self._is_target_reached or (self._asks_no_more and self._admitted == self.asked)

    @property
    def _asks_no_more(self) -> bool:
        return self._is_exhausted or self.asked >= self._spec.max_evaluations

    @property
    def may_ask(self) -> bool:
        """Whether the next step is to ask for a candidate."""
        open_window = self.asked < self._admitted + self._spec.window
        return open_window and not self._asks_no_more and not self._is_target_reached

    @property
    def may_admit(self) -> bool:
        """Whether the next step is to admit the result of candidate `admitted`."""
        return not self.may_ask and self._admitted < self.asked and not self._is_target_reached

    def ask(self) -> Candidate | None:
        """The next candidate; None when the space is exhausted."""
        if not self.may_ask:
            raise RuntimeError("a candidate may not be asked for now: admit the next result first")
        candidate = self._next_candidate(self.asked)
        if candidate is None:
            self._is_exhausted = True
            return None
        self._seen.add(candidate.genome.hash)
        self._scored.append(Scored(candidate, None))
        return candidate

    def _next_candidate(self, index: int) -> Candidate | None:
        if index < len(self._seeds):
            return Candidate(index, self._seeds[index], (), emitter="seed", operator="seed", mutation=None)
        rng = derive_rng(self._spec.seed, "ask", index)
        for name, proposal in self._proposals_for(rng):
            genome = Genome(genes=proposal.values)
            if genome.hash not in self._seen:
                self._proposals[index] = proposal
                return self._candidate(index, genome, name, proposal)
        return None

    def _candidate(self, index: int, genome: Genome, emitter: str, proposal: Proposal) -> Candidate:
        before = self._genes_of(proposal.parents[0] if proposal.parents else 0)
        mutation_id = f"{self._spec.id}-{index}"
        mutation = self._space.mutation(mutation_id, proposal.operator, before, genome.genes)
        return Candidate(index, genome, proposal.parents, emitter, proposal.operator, mutation)

    def _proposals_for(self, rng: "np.random.Generator") -> Iterator[tuple[str, Proposal]]:
        """Proposals until one is new: of the chosen emitter, then blind ones, then whatever a finite space has left."""
        for emitter in self._portfolio.ranked(rng):
            proposal = emitter.ask(self._population, rng)
            if proposal is None:
                continue
            yield emitter.name, proposal
            for _ in range(_ATTEMPTS - 1):
                again = emitter.ask(self._population, rng)
                if again is not None:
                    yield emitter.name, again
            break
        held = self._population.incumbent
        for _ in range(_BLIND_ATTEMPTS):
            yield "fallback", Proposal(self._space.sample_all(held, rng), parents=(), operator="sample")
        if self._rest is None:
            # What was passed over was asked for already, and stays so: one walk serves the whole campaign.
            self._rest = self._space.enumerate(held)
        for values in self._rest:
            yield "fallback", Proposal(values, parents=(), operator="enumerate")

    def _genes_of(self, index: int) -> Mapping[str, GeneValue]:
        return self._scored[index].candidate.genome.genes

    def admit(self, evaluation: Evaluation) -> Scored:
        """Take the result of candidate `admitted`: it has a score for every objective, or a failure."""
        if not self.may_admit:
            raise RuntimeError("a result may not be admitted now: ask for the next candidate first")
        index = self._admitted
        candidate = self._scored[index].candidate
        gains = self._gains(evaluation)
        gain, entered = self._offer(candidate, gains, evaluation.fidelity)
        scored = Scored(candidate, evaluation, entered=entered)
        self._scored[index] = scored
        self._admitted += 1
        self._is_target_reached = self._reaches_target(evaluation)
        proposal = self._proposals.pop(index, None)
        emitter = self._emitters.get(candidate.emitter)
        if proposal is not None and emitter is not None:
            emitter.tell(proposal, Outcome(gains=gains, entered=entered))
            self._portfolio.reward(emitter.name, gain if entered else 0.0)
        return scored

    def _gains(self, evaluation: Evaluation) -> tuple[float, ...] | None:
        if evaluation.failure is not None:
            return None
        return tuple(o.gain(evaluation.scores[o.name].value) for o in self._spec.objectives)

    def _offer(self, candidate: Candidate, gains: tuple[float, ...] | None, fidelity: float) -> tuple[float, bool]:
        if gains is None:
            return 0.0, False
        gain = self._archive.improvement(gains)
        elite = Elite(candidate.index, candidate.genome.hash, gains)
        return gain, self._archive.add(elite, fidelity=fidelity)

    def _reaches_target(self, evaluation: Evaluation) -> bool:
        target = self._spec.target
        if target is None or evaluation.failure is not None:
            return False
        if target.is_measure:
            measured = evaluation.measures.get(target.objective)
            return measured is not None and measured >= target.value
        objective = next(o for o in self._spec.objectives if o.name == target.objective)
        return objective.gain(evaluation.scores[target.objective].value) >= objective.gain(target.value)
