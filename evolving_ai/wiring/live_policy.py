"""The live policy: a decision engine, and the exploration that its genome asks for.

The gene `explore.floor` is the probability f with which each other eligible model is tried: with M eligible models the
best one is chosen with probability 1 - (M - 1) f. Which one it is depends on the seed alone, so a recorded decision can
be made again, and the propensity is exact. Without a floor nothing is drawn. Immutable: another policy is exchanged for
it as a whole. It does not know targets, breakers or prices.
"""

import math
from collections.abc import Mapping, Sequence

from evolving_ai.decision.engine import DecisionEngine
from evolving_ai.decision.features import RequestView
from evolving_ai.domain.decision import Constraints, Decision
from evolving_ai.router.ports import DecidedPolicy

__all__ = ["EnginePolicy", "unit_draw"]

_WORD = 2**64 - 1
_UNIT = 2.0**-53


class EnginePolicy:
    """A `Policy` over one engine; threads may share it. `generation` counts the exchanges of policies."""

    def __init__(self, engine: DecisionEngine, *, generation: int) -> None:
        self._engine = engine
        self._floor = float(engine.genome.genes["explore.floor"])
        self.generation = generation
        self.dna_hash = engine.genome.hash
        self.snapshot_hash = engine.snapshot.hash
        self.models = engine.models

    @property
    def engine(self) -> DecisionEngine:
        """What decides; its genome and its snapshot are in it."""
        return self._engine

    def decide(
        self, prompt: str, constraints: Constraints, *, seed: int, context: Mapping[str, str] | None = None
    ) -> DecidedPolicy:
        """Decide one request. DataError when no model of the pool is eligible."""
        decision, features = self._engine.decide_and_encode(RequestView(prompt, None, context), constraints)
        if self._floor:
            decision = self._explored(decision, seed)
        return DecidedPolicy(decision, features, seed)

    def propensities(self, decision: Decision) -> tuple[float, ...]:
        """With which probability each model of a decision of this policy is chosen, whatever was drawn for it."""
        values = decision.score_values
        others, floor = self._exploration(values)
        best = values.index(max(values))  # the earlier one of equals, as the engine ranks
        shares = [0.0 if value == -math.inf else floor for value in values]
        shares[best] = 1.0 - others * floor
        return tuple(shares)

    def _exploration(self, values: Sequence[float]) -> tuple[int, float]:
        """How many others there are beside the best model, and the probability of each."""
        others = len(values) - 1 - values.count(-math.inf)
        return others, min(self._floor, 1.0 / (others + 1))

    def _explored(self, decision: Decision, seed: int) -> Decision:
        models, qualities, costs_usd, values, best, _, dna_hash, snapshot_hash, relaxed = decision
        others, floor = self._exploration(values)
        draw = unit_draw(seed)
        chosen, propensity = best, 1.0 - others * floor
        if draw < others * floor:
            places = [place for place, value in enumerate(values) if value != -math.inf and place != best]
            # The quotient can round up to the end of the last share.
            chosen, propensity = places[min(int(draw / floor), others - 1)], floor
        return Decision(models, qualities, costs_usd, values, chosen, propensity, dna_hash, snapshot_hash, relaxed)


def unit_draw(seed: int) -> float:
    """A number in [0, 1) that depends on the last 64 bits of `seed` alone: the finalizer of SplitMix64.

    Steele, Lea and Flood (2014), "Fast splittable pseudorandom number generators": neighbouring seeds give draws that
    look independent, in a fraction of the time that it takes to make a generator.
    """
    mixed = (seed + 0x9E3779B97F4A7C15) & _WORD
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _WORD
    return ((mixed ^ (mixed >> 31)) >> 11) * _UNIT
