"""The decision engine: one request in, one choice out, within a tenth of a millisecond.

Pure numpy on data that is in memory: no I/O, no clock, no Ray. A `DecisionEngine` is immutable; changing the policy
means making another one and exchanging the reference.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evolving_ai.decision.feature_codec import FeatureEncoder, RecordedFeatures
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
_FEW_BUCKETS = 160
"""Up to so many filled buckets, picking their rows is faster than multiplying all of them."""
_MOST_MASKS = 256  # aliases and regions are few; whoever asks for more pays for the mask each time
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
        self._encoder = FeatureEncoder(self._hasher.config)
        self._predictor = Predictor(snapshot, genome.genes)
        arrays = snapshot.arrays
        buckets = len(arrays["rarity"])
        weights = arrays["weights"] * self._predictor.column_scale
        self._rarity = arrays["rarity"]
        # Column after column: the product with one request is then twice as fast.
        self._hashed_weights = np.asfortranarray(weights[:buckets])
        self._bucket_weights = np.ascontiguousarray(weights[:buckets])
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
        self._masks: dict[frozenset[str], NDArray[np.bool_]] = {}
        self._covering: dict[frozenset[str], bool] = {}

    @property
    def models(self) -> tuple[str, ...]:
        """The pool, in the order of the snapshot."""
        return self._models

    @property
    def genome(self) -> Genome:
        return self._genome

    @property
    def predictor(self) -> Predictor:
        """What turns heads into predictions, with this genome's genes."""
        return self._predictor

    @property
    def snapshot(self) -> Snapshot:
        return self._snapshot

    def predict(self, request: RequestView) -> Prediction:
        """Predicted quality and cost of each model for this request: float32[M]."""
        if not self._reads_text:
            return self._predictor.from_heads(self._predictor.offset)
        return self._predictor.from_heads(self._heads(request))

    def _heads(self, request: RequestView) -> Array:
        counts, statistics = self._hasher.count(request)
        return self._heads_of(counts, statistics, self._known_context(request))

    def _heads_of(self, counts: NDArray[np.intp], standard: Array, context: Sequence[tuple[str, str]]) -> Array:
        """The heads of what was extracted; `standard` is overwritten."""
        heads = self._hashed_heads(counts)
        standard -= self._statistics_mean
        standard *= self._statistics_scale
        np.maximum(standard, _LOW, out=standard)
        np.minimum(standard, _HIGH, out=standard)
        heads += standard @ self._statistics_weights
        heads += self._predictor.offset
        for pair in context:
            heads += self._context_rows[pair]
        return heads

    def _hashed_heads(self, counts: NDArray[np.intp]) -> Array:
        """What the hashed n-grams contribute. Of a short text few buckets are filled: the others are left out."""
        places = counts.astype(np.bool_).nonzero()[0]
        if len(places) <= _FEW_BUCKETS:
            weighted = self._hasher.damp(counts[places])
            weighted *= self._rarity[places]
            heads: Array = weighted @ self._bucket_weights[places]
        else:
            weighted = self._hasher.damp(counts)
            weighted *= self._rarity
            heads = weighted @ self._hashed_weights
        heads *= np.float32(1.0 / max(math.sqrt(weighted @ weighted), 1e-9))
        return heads

    def heads_of_recorded(self, seen: RecordedFeatures | None) -> Array | None:
        """The heads (see `Predictor`) of a request that was recorded, as this engine would have computed them.

        `seen` None: nothing was recorded, because the policy that decided looked at no text. None when that is not
        enough for this engine, or when the features are of another configuration.
        """
        if not self._reads_text:
            return self._predictor.offset
        if seen is None or seen.digest != self._encoder.digest:
            return None
        context = [pair for pair in seen.context if pair in self._context_rows]
        return self._heads_of(seen.counts, seen.statistics.copy(), context)

    def _known_context(self, request: RequestView) -> list[tuple[str, str]]:
        if not self._context_rows or not request.context:
            return []
        return [pair for pair in request.context.items() if pair in self._context_rows]

    def decide(
        self, request: RequestView, constraints: Constraints = _UNCONSTRAINED, *, cost_weight: float | None = None
    ) -> Decision:
        """Decide one request: the allowed model with the best score, the earlier one of equals.

        Constraints that no eligible model meets are dropped, `min_quality` first, and named in `Decision.relaxed`:
        the caller decides whether to refuse. DataError when no model is eligible.
        """
        return self._decide(self.predict(request), constraints, cost_weight)

    def decide_and_encode(
        self, request: RequestView, constraints: Constraints = _UNCONSTRAINED
    ) -> tuple[Decision, bytes]:
        """`decide`, and what was seen, as `feature_codec` encodes it; empty when this policy looks at no text."""
        if not self._reads_text:
            return self.decide(request, constraints), b""
        counts, statistics = self._hasher.count(request)
        context = self._known_context(request)
        features = self._encoder.encode(counts, statistics, context)
        heads = self._heads_of(counts, statistics, context)
        return self._decide(self._predictor.from_heads(heads), constraints, None), features

    def _decide(self, prediction: Prediction, constraints: Constraints, cost_weight: float | None) -> Decision:
        ranked = scores(prediction, self._genome.genes, self._snapshot.cost_scale_usd, cost_weight)
        relaxed: tuple[str, ...] = ()
        if constraints is not _UNCONSTRAINED and constraints != _UNCONSTRAINED and not self._allows_all(constraints):
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

    def _allows_all(self, constraints: Constraints) -> bool:
        """Whether nothing is demanded but models that make up the whole pool."""
        if constraints.max_cost_usd is not None or constraints.min_quality is not None:
            return False
        models = constraints.eligible
        known = models is None or self._covering.get(models)
        if known is None:
            known = models is None or models.issuperset(self._models)
            if models is not None and len(self._covering) < _MOST_MASKS:
                self._covering[models] = known
        return known

    def _eligible(self, models: frozenset[str] | None) -> NDArray[np.bool_]:
        """Which of the pool may answer; DataError when none may."""
        if models is None:
            return np.ones(len(self._models), np.bool_)
        mask = self._masks.get(models)
        if mask is None:
            mask = np.array([model in models for model in self._models])
            if not mask.any():
                raise DataError(f"no eligible model: expected one of {', '.join(self._models)}")
            if len(self._masks) < _MOST_MASKS:
                mask.setflags(write=False)
                self._masks[models] = mask
        return mask

    def _allowed(self, prediction: Prediction, constraints: Constraints) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
        eligible = self._eligible(constraints.eligible)
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
