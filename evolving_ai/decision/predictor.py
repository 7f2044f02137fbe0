"""From features to predicted quality and cost of every model: the same arithmetic for one request and for many."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evolving_ai.decision.features import Array
from evolving_ai.decision.snapshot import Snapshot
from evolving_ai.domain.genes import GeneValue

__all__ = ["Prediction", "Predictor"]

_HIGHEST_LOG_COST = np.float32(3.0)


@dataclass(frozen=True, slots=True)
class Prediction:
    """Predicted quality (0 to 1, caution applied) and cost (USD) of each model: float32[..., M]."""

    quality: Array
    cost_usd: Array


class Predictor:
    """A snapshot with the decision-time genes of one genome. Immutable; safe to share between threads.

    What it reads are *heads*: `x @ weights * column_scale + offset`, float32[..., T+K+M+M]. An engine multiplies
    its weights by `column_scale` once, so that a request pays for one product.
    """

    def __init__(self, snapshot: Snapshot, genes: Mapping[str, GeneValue]) -> None:
        arrays = snapshot.arrays
        self._weights = arrays["weights"]
        self._models = len(snapshot.models)
        self._classes = arrays["class_quality"].shape[0]
        self._clusters = arrays["cluster_quality"].shape[0]
        self.column_scale = self._make_column_scale(genes)
        self.offset: Array = arrays["bias"] * self.column_scale
        caution = np.float32(genes["score.caution"])
        share = self._cluster_share(genes)
        class_quality = arrays["class_quality"] - caution * arrays["class_error"]
        cluster_quality = arrays["cluster_quality"] - caution * arrays["cluster_error"]
        # Quality and cost tables side by side: one product gives both.
        self._class_table = np.hstack([class_quality, arrays["class_cost"]]) * np.float32(1 - share)
        self._cluster_table = np.hstack([cluster_quality, arrays["cluster_cost"]]) * np.float32(share)
        self._mean = arrays["quality_mean"] - caution * arrays["quality_error"]
        self._has_residual = genes["quality.residual"] == "on"
        self._cost_kind = str(genes["cost.predictor"])
        self._cost_mean = arrays["cost_mean"]
        self._cost_ratio = arrays["cost_ratio"]

    def _make_column_scale(self, genes: Mapping[str, GeneValue]) -> Array:
        """Sharpness of the classes and clusters, weight of the residual, 1 for the log costs."""
        parts = (
            (self._classes, genes.get("classes.sharpness", genes.get("classes.odds_sharpness", 1.0))),
            (self._clusters, genes.get("clusters.sharpness", 1.0)),
            (self._models, genes.get("quality.residual_weight", 0.0)),
            (self._models, 1.0),
        )
        return np.concatenate([np.full(count, value, np.float32) for count, value in parts])

    def _cluster_share(self, genes: Mapping[str, GeneValue]) -> float:
        if not self._classes:
            return 1.0
        return float(genes.get("clusters.share", 0.0)) if self._clusters else 0.0

    def predict(self, x: Array) -> Prediction:
        """The prediction for features x: float32[..., B+S+X]."""
        return self.from_linear(x @ self._weights)

    def from_linear(self, linear: Array) -> Prediction:
        """The prediction for `x @ weights`."""
        return self.from_heads(linear * self.column_scale + self.offset)

    def from_heads(self, heads: Array) -> Prediction:
        """The prediction for heads."""
        first, second = self._classes, self._classes + self._clusters
        means: Array | None = None
        if self._classes:
            means = _mixture(heads[..., :first], self._class_table)
        if self._clusters:
            of_clusters = _mixture(heads[..., first:second], self._cluster_table)
            means = of_clusters if means is None else means + of_clusters
        quality = self._mean if means is None else means[..., : self._models]
        if self._has_residual:
            quality = quality + heads[..., second : second + self._models]
        return Prediction(self._as_rows(quality, heads), self._as_rows(self._costs(means, heads), heads))

    def memberships(self, heads: Array) -> tuple[Array, Array]:
        """How much one request belongs to each class and to each cluster: float32[T], float32[K], each summing to 1.

        Empty where there are no classes or clusters.
        """
        first, second = self._classes, self._classes + self._clusters
        return _softmax(heads[:first]), _softmax(heads[first:second])

    def _costs(self, means: Array | None, heads: Array) -> Array:
        if self._cost_kind == "linear":
            # A dollar is e**0: nothing that was fitted costs e**3 dollars.
            return self._cost_ratio * np.exp(np.minimum(heads[..., -self._models :], _HIGHEST_LOG_COST))
        if self._cost_kind == "grouped" and means is not None:
            return means[..., self._models :]
        return self._cost_mean

    def _as_rows(self, values: Array, heads: Array) -> Array:
        if values.ndim == heads.ndim:
            return values
        return np.broadcast_to(values, (*heads.shape[:-1], self._models))


def _softmax(scores: Array) -> Array:
    odds: Array = np.exp(scores - scores.max(initial=-np.inf))
    return odds / odds.sum() if len(odds) else odds


def _mixture(scores: Array, table: Array) -> Array:
    """Rows of `table`, weighted by the softmax of `scores`."""
    if scores.ndim == 1:  # one request: half the time of the general form
        odds: Array = np.exp(scores - scores.max())
        return (odds @ table) * np.float32(1.0 / odds.sum())
    odds = np.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed: Array = (odds @ table) / odds.sum(axis=-1, keepdims=True)
    return mixed
