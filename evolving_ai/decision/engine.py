"""The decision engine: one request in, one choice out, within a tenth of a millisecond.

Pure numpy on data that is in memory: no I/O, no clock, no Ray. A `DecisionEngine` is immutable; changing the policy
means making another one and exchanging the reference.
"""

import math

import numpy as np
from numpy.typing import NDArray

from evolving_ai.decision.features import STATISTICS, Array, RequestView, TextHasher
from evolving_ai.decision.features import FeatureConfig as _FeatureConfig
from evolving_ai.decision.fitting import STATISTIC_LIMIT, fit_genes
from evolving_ai.decision.predictor import Prediction, Predictor
from evolving_ai.decision.scoring import scores
from evolving_ai.decision.snapshot import Snapshot
from evolving_ai.domain.decision import Constraints, Decision
from evolving_ai.domain.dna import Genome
from evolving_ai.errors import DataError, UsageError

__all__ = ["DecisionEngine"]

_UNCONSTRAINED = Constraints()
_LOW, _HIGH = np.float32(-STATISTIC_LIMIT), np.float32(STATISTIC_LIMIT)


class DecisionEngine:
    """Decides under one genome and one snapshot fitted with its genes.

    Raises UsageError when the snapshot was fitted with other genes: its numbers would mean something else.
    """

    def __init__(self, genome: Genome, snapshot: Snapshot) -> None:
        if dict(snapshot.fit_genes) != fit_genes(genome.genes):
            raise UsageError(
                f"snapshot {snapshot.hash[:12]} was fitted with other genes than DNA {genome.hash[:12]}: fit it again"
            )
        self._genome = genome
        self._snapshot = snapshot
        self._hasher = TextHasher(_FeatureConfig.from_genes(genome.genes))
        self._predictor = Predictor(snapshot, genome.genes)
        arrays = snapshot.arrays
        buckets = len(arrays["rarity"])
        weights = arrays["weights"] * self._predictor.column_scale
        self._rarity = arrays["rarity"]
        # Column after column: the product with one request is then twice as fast.
        self._hashed_weights = np.asfortranarray(weights[:buckets])
        self._statistics_weights = np.asfortranarray(
            weights[buckets : buckets + STATISTICS] * np.float32(genome.genes["features.statistics"])
        )
        self._statistics_mean = arrays["statistics_mean"]
        self._statistics_scale = np.float32(1) / arrays["statistics_scale"]
        context = weights[buckets + STATISTICS :] * np.float32(genome.genes["features.context"])
        self._context_rows = dict(zip(snapshot.context_values, context, strict=True))
        self._models = snapshot.models
        self._dna_hash, self._snapshot_hash = genome.hash, snapshot.hash
        self._reads_text = bool(np.any(arrays["weights"]))

    @property
    def models(self) -> tuple[str, ...]:
        """The pool, in the order of the snapshot."""
        return self._models

    @property
    def genome(self) -> Genome:
        return self._genome

    @property
    def snapshot(self) -> Snapshot:
        return self._snapshot

    def predict(self, request: RequestView) -> Prediction:
        """Predicted quality and cost of each model for this request: float32[M]."""
        if not self._reads_text:
            return self._predictor.from_heads(self._predictor.offset)
        return self._predictor.from_heads(self._heads(request))

    def _heads(self, request: RequestView) -> Array:
        weighted, standard = self._hasher.extract(request)
        weighted *= self._rarity
        heads: Array = weighted @ self._hashed_weights
        heads *= np.float32(1.0 / max(math.sqrt(weighted @ weighted), 1e-9))
        standard -= self._statistics_mean
        standard *= self._statistics_scale
        np.maximum(standard, _LOW, out=standard)
        np.minimum(standard, _HIGH, out=standard)
        heads += standard @ self._statistics_weights
        heads += self._predictor.offset
        if self._context_rows and request.context:
            for pair in request.context.items():
                row = self._context_rows.get(pair)
                if row is not None:
                    heads += row
        return heads

    def decide(
        self, request: RequestView, constraints: Constraints = _UNCONSTRAINED, *, cost_weight: float | None = None
    ) -> Decision:
        """Decide one request: the allowed model with the best score, the earlier one of equals.

        Constraints that no eligible model meets are dropped, `min_quality` first, and named in `Decision.relaxed`:
        the caller decides whether to refuse. DataError when no model is eligible.
        """
        prediction = self.predict(request)
        ranked = scores(prediction, self._genome.genes, self._snapshot.cost_scale_usd, cost_weight)
        relaxed: tuple[str, ...] = ()
        if constraints is not _UNCONSTRAINED:
            allowed, relaxed = self._allowed(prediction, constraints)
            ranked = np.where(allowed, ranked, np.float32(-np.inf))
        return Decision(
            self._models,
            prediction.quality.tolist(),
            prediction.cost_usd.tolist(),
            ranked.tolist(),
            int(ranked.argmax()),
            1.0,
            self._dna_hash,
            self._snapshot_hash,
            relaxed,
        )

    def _allowed(self, prediction: Prediction, constraints: Constraints) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
        eligible = np.ones(len(self._models), np.bool_)
        if constraints.eligible is not None:
            eligible = np.array([model in constraints.eligible for model in self._models])
        if not eligible.any():
            raise DataError(f"no eligible model: expected one of {', '.join(self._models)}")
        relaxed: list[str] = []
        affordable = eligible
        if constraints.max_cost_usd is not None:
            affordable = eligible & (prediction.cost_usd <= constraints.max_cost_usd)
            if not affordable.any():
                relaxed.append("max_cost_usd")
                affordable = eligible
        good = affordable
        if constraints.min_quality is not None:
            good = affordable & (prediction.quality >= constraints.min_quality)
            if not good.any():
                relaxed.insert(0, "min_quality")
                good = affordable
        return good, tuple(relaxed)
