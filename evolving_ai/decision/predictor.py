"""From features to predicted quality and cost of every model: the same arithmetic for one request and for many."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evolving_ai.decision.features import Array
from evolving_ai.decision.snapshot import Snapshot
from evolving_ai.domain.genes import GeneValue

__all__ = ["Prediction", "Predictor"]


@dataclass(frozen=True, slots=True)
class Prediction:
    """Predicted quality (0 to 1, caution applied) and cost (USD) of each model: float32[..., M]."""

    quality: Array
    cost_usd: Array


class Predictor:
    """A snapshot with the decision-time genes of one genome. Immutable; safe to share between threads."""

    def __init__(self, snapshot: Snapshot, genes: Mapping[str, GeneValue]) -> None:
        self._weights = snapshot.arrays["weights"]
        self._bias = snapshot.arrays["bias"]
        arrays = snapshot.arrays
        self._models = len(snapshot.models)
        self._classes = arrays["class_quality"].shape[0]
        self._clusters = arrays["cluster_quality"].shape[0]
        caution = np.float32(genes["score.caution"])
        self._mean = arrays["quality_mean"] - caution * arrays["quality_error"]
        self._class_sharpness = np.float32(genes.get("classes.sharpness", 1.0))
        self._cluster_sharpness = np.float32(genes.get("clusters.sharpness", 1.0))
        share = self._cluster_share(genes)
        class_quality = arrays["class_quality"] - caution * arrays["class_error"]
        cluster_quality = arrays["cluster_quality"] - caution * arrays["cluster_error"]
        # Quality and cost tables side by side: one product gives both.
        self._class_table = np.hstack([class_quality, arrays["class_cost"]]) * np.float32(1 - share)
        self._cluster_table = np.hstack([cluster_quality, arrays["cluster_cost"]]) * np.float32(share)
        self._residual_weight = np.float32(genes.get("quality.residual_weight", 0.0))
        self._cost_kind = str(genes["cost.predictor"])
        self._cost_mean = arrays["cost_mean"]
        self._cost_ratio = arrays["cost_ratio"]

    def _cluster_share(self, genes: Mapping[str, GeneValue]) -> float:
        if not self._classes:
            return 1.0
        return float(genes.get("clusters.share", 0.0)) if self._clusters else 0.0

    def predict(self, x: Array) -> Prediction:
        """The prediction for features x: float32[..., B+S+X]."""
        return self.from_scores(x @ self._weights)

    def from_scores(self, linear: Array) -> Prediction:
        """The prediction for `x @ weights`: float32[..., T+K+M+M]."""
        heads = linear + self._bias
        first, second = self._classes, self._classes + self._clusters
        means: Array | None = None
        if self._classes:
            means = _softmax(heads[..., :first] * self._class_sharpness) @ self._class_table
        if self._clusters:
            of_clusters = _softmax(heads[..., first:second] * self._cluster_sharpness) @ self._cluster_table
            means = of_clusters if means is None else means + of_clusters
        quality = self._mean if means is None else means[..., : self._models]
        if self._residual_weight:
            quality = quality + self._residual_weight * heads[..., second : second + self._models]
        return Prediction(self._as_rows(quality, heads), self._as_rows(self._costs(means, heads), heads))

    def _costs(self, means: Array | None, heads: Array) -> Array:
        if self._cost_kind == "linear":
            return self._cost_ratio * np.exp(np.minimum(heads[..., -self._models :], np.float32(3.0)))
        if self._cost_kind == "grouped" and means is not None:
            return means[..., self._models :]
        return self._cost_mean

    def _as_rows(self, values: Array, heads: Array) -> Array:
        if values.ndim == heads.ndim:
            return values
        return np.broadcast_to(values, (*heads.shape[:-1], self._models))


def _softmax(scores: Array) -> Array:
    exponentials: Array = np.exp(scores - scores.max(axis=-1, keepdims=True))
    exponentials /= exponentials.sum(axis=-1, keepdims=True)
    return exponentials
