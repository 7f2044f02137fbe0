"""Fitting: from recorded outcomes and the genes of a policy to a snapshot.

Every part is closed-form or a few passes over the rows, so a fit takes about a second at most and needs no random
numbers but those of a fixed seed. Ridge regression solves the normal equations in the smaller of the two
dimensions. What several candidates of a campaign share (features, products, solutions) is kept in `FitCache`.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from evolving_ai._common.canonical import sha256_hex
from evolving_ai.decision.clustering import spherical_kmeans
from evolving_ai.decision.features import Array, FeatureConfig, TextHasher
from evolving_ai.decision.fit_cache import FitCache
from evolving_ai.decision.logistic import fit_logistic
from evolving_ai.decision.outcome_table import OutcomeTable
from evolving_ai.decision.snapshot import Snapshot
from evolving_ai.domain.genes import GeneValue
from evolving_ai.errors import DataError

__all__ = ["FIT_GENE_GROUPS", "STATISTIC_LIMIT", "Fitter", "design_matrix", "fit_genes"]

FIT_GENE_GROUPS = (
    "features.",
    "classes.learner",
    "classes.ridge_log2",
    "classes.inverse_penalty_log2",
    "clusters.count",
    "quality.predictor",
    "quality.shrinkage",
    "quality.residual",
    "quality.residual_ridge_log2",
    "cost.",
)
_RARITY_FLOOR = 1e-3
_COST_FLOOR_USD = 1e-7
STATISTIC_LIMIT = 4.0
"""Standard deviations beyond which a statistic counts no further."""


def fit_genes(genes: Mapping[str, GeneValue]) -> dict[str, GeneValue]:
    """The genes that a snapshot depends on; the others act at decision time."""
    return {
        name: value
        for name, value in genes.items()
        if any(name.startswith(group) if group.endswith(".") else name == group for group in FIT_GENE_GROUPS)
    }


@dataclass(frozen=True)
class _Features:
    """The design matrix of all queries and how to make one for others. x is float32[queries, B+S+X]."""

    x: Array
    rarity: Array
    statistics_mean: Array
    statistics_scale: Array


def design_matrix(
    hashed: Array, statistics: Array, context: Array, features: "_Features | Snapshot", genes: Mapping[str, GeneValue]
) -> Array:
    """x for many requests: unit-length weighted counts, scaled statistics, scaled context columns."""
    if isinstance(features, Snapshot):
        arrays = features.arrays
        rarity, mean, scale = arrays["rarity"], arrays["statistics_mean"], arrays["statistics_scale"]
    else:
        rarity, mean, scale = features.rarity, features.statistics_mean, features.statistics_scale
    weighted = hashed * rarity
    weighted /= np.maximum(np.linalg.norm(weighted, axis=1, keepdims=True), np.float32(1e-9))
    standard = np.clip((statistics - mean) / scale, -STATISTIC_LIMIT, STATISTIC_LIMIT)
    standard *= np.float32(genes["features.statistics"])
    return np.hstack([weighted, standard, context * np.float32(genes["features.context"])]).astype(np.float32)


class Fitter:
    """Fits policies on one table, for all of it or for folds of it.

    The features are weighed by all queries of the table (prompts carry no outcome); everything else sees only the
    rows that `fit` is asked for.
    """

    def __init__(self, table: OutcomeTable, *, cache: FitCache | None = None) -> None:
        if len(table) == 0 or not table.known.any():
            raise DataError("there is nothing to fit on: expected at least one query with a recorded outcome")
        self._table = table
        self._cache = FitCache() if cache is None else cache
        self._context_values, self._context = _one_hot_context(table)
        self._classes, self._labels = _encode_labels(table)

    @property
    def table(self) -> OutcomeTable:
        return self._table

    def features(self, genes: Mapping[str, GeneValue]) -> Array:
        """The design matrix of every query of the table under these genes."""
        return self._features(genes).x

    def fit(self, genes: Mapping[str, GeneValue], rows: NDArray[np.bool_] | None = None) -> Snapshot:
        """A snapshot learned from `rows` (default: all). Deterministic."""
        chosen = np.ones(len(self._table), np.bool_) if rows is None else rows
        if not self._table.known[chosen].any():
            raise DataError("there is nothing to fit on: none of the chosen queries has a recorded outcome")
        return self._cache.get(
            "snapshot", (_key(fit_genes(genes)), chosen.tobytes()), lambda: _FoldFit(self, genes, chosen).snapshot()
        )

    def _features(self, genes: Mapping[str, GeneValue]) -> _Features:
        own = {name: value for name, value in genes.items() if name.startswith("features.")}
        return self._cache.get("features", _key(own), lambda: self._make_features(genes))

    def _make_features(self, genes: Mapping[str, GeneValue]) -> _Features:
        config = FeatureConfig.from_genes(genes)
        hashed, statistics = self._cache.get(
            "hashed", config, lambda: TextHasher(config).matrices(self._table.requests)
        )
        share = (hashed > 0).mean(axis=0, dtype=np.float64)
        rarity = np.maximum(np.log(1.0 / (share + _RARITY_FLOOR)), 0.02) ** float(genes["features.rarity"])
        scale = statistics.std(axis=0) + 1e-3
        draft = _Features(np.empty((0, 0), np.float32), rarity.astype(np.float32), statistics.mean(axis=0), scale)
        x = design_matrix(hashed, statistics, self._context, draft, genes)
        return _Features(x, draft.rarity, draft.statistics_mean, draft.statistics_scale)

    def ridge(
        self, name: str, genes: Mapping[str, GeneValue], rows: NDArray[np.bool_], log2_penalty: int, targets: Array
    ) -> tuple[Array, Array]:
        """Weights and bias of the ridge regression of `targets` (for `rows`) on the features.

        `name` and the arguments identify the targets: equal ones are solved once.
        """
        own = {gene: value for gene, value in genes.items() if gene.startswith("features.")}
        key = (name, _key(own), rows.tobytes(), log2_penalty, sha256_hex(targets.tobytes()))
        return self._cache.get("linear", key, lambda: self._solve(genes, rows, log2_penalty, targets))

    def logistic(
        self, genes: Mapping[str, GeneValue], rows: NDArray[np.bool_], log2_inverse_penalty: int, one_hot: Array
    ) -> tuple[Array, Array]:
        """Weights and bias of the logistic regression of the class of `rows`; equal ones are fitted once."""
        own = {gene: value for gene, value in genes.items() if gene.startswith("features.")}
        key = ("logistic", _key(own), rows.tobytes(), log2_inverse_penalty)
        x = self._features(genes).x
        return self._cache.get("linear", key, lambda: fit_logistic(x[rows], one_hot, 2.0**log2_inverse_penalty))

    def _solve(
        self, genes: Mapping[str, GeneValue], rows: NDArray[np.bool_], log2_penalty: int, targets: Array
    ) -> tuple[Array, Array]:
        x = self._features(genes).x[rows]
        mean = targets.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = targets - mean
        own = {gene: value for gene, value in genes.items() if gene.startswith("features.")}
        is_wide = x.shape[1] > x.shape[0]
        gram = self._cache.get(
            "gram", (_key(own), rows.tobytes()), lambda: np.asarray(x @ x.T if is_wide else x.T @ x, np.float32)
        )
        penalised = gram + np.float32(2.0**log2_penalty) * np.eye(len(gram), dtype=np.float32)
        # Symmetric and positive definite: Cholesky costs a third of a general solution.
        factor = cho_factor(penalised, lower=True, overwrite_a=True, check_finite=False)
        if is_wide:
            return (x.T @ cho_solve(factor, centred, check_finite=False)).astype(np.float32), mean
        return cho_solve(factor, x.T @ centred, check_finite=False).astype(np.float32), mean

    @property
    def context_values(self) -> tuple[tuple[str, str], ...]:
        return self._context_values

    @property
    def classes(self) -> tuple[str, ...]:
        return self._classes

    @property
    def labels(self) -> NDArray[np.intp]:
        return self._labels

    def feature_parts(self, genes: Mapping[str, GeneValue]) -> tuple[Array, Array, Array]:
        """rarity, statistics_mean, statistics_scale."""
        features = self._features(genes)
        return features.rarity, features.statistics_mean, features.statistics_scale


def _key(genes: Mapping[str, GeneValue]) -> Hashable:
    return tuple(sorted(genes.items()))


def _one_hot_context(table: OutcomeTable) -> tuple[tuple[tuple[str, str], ...], Array]:
    pairs = sorted({pair for request in table.requests for pair in (request.context or {}).items()})
    place = {pair: position for position, pair in enumerate(pairs)}
    matrix = np.zeros((len(table), len(pairs)), np.float32)
    for row, request in enumerate(table.requests):
        for pair in (request.context or {}).items():
            matrix[row, place[pair]] = 1.0
    return tuple(pairs), matrix


def _encode_labels(table: OutcomeTable) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    labels = table.labels or ("",) * len(table)
    classes = tuple(sorted(set(labels)))
    place = {label: position for position, label in enumerate(classes)}
    return classes, np.array([place[label] for label in labels], np.intp)


class _FoldFit:
    """One fit: the rows chosen, and the heads learned from them in turn."""

    def __init__(self, fitter: Fitter, genes: Mapping[str, GeneValue], rows: NDArray[np.bool_]) -> None:
        self._fitter = fitter
        self._genes = genes
        self._rows = rows
        self._score = fitter.table.score[rows]
        self._cost = fitter.table.cost_usd[rows]
        self._known = ~np.isnan(self._score)
        self._labels = fitter.labels[rows]
        predictor = str(genes["quality.predictor"])
        self._has_classes = predictor in ("classes", "blend") and len(fitter.classes) > 1
        self._has_clusters = predictor in ("clusters", "blend")
        self._cold = ~self._known.any(axis=0)

    def snapshot(self) -> Snapshot:
        """Fit every head and fold them into one matrix."""
        quality, error, cost = self._pool_means()
        class_weights, class_bias = self._class_head()
        cluster_weights, members = self._cluster_head()
        class_means = self._group_means(self._labels, class_weights.shape[1], quality, error, cost)
        cluster_means = self._group_means(members, cluster_weights.shape[1], quality, error, cost)
        fitted = self._fitted_means(quality, class_means[0], cluster_means[0], members)
        residual_weights, residual_bias = self._residual_head(fitted)
        cost_weights, cost_bias, cost_ratio = self._cost_head(cost)
        no_bias = np.zeros(cluster_weights.shape[1], np.float32)
        rarity, statistics_mean, statistics_scale = self._fitter.feature_parts(self._genes)
        arrays = {
            "rarity": rarity,
            "statistics_mean": statistics_mean,
            "statistics_scale": statistics_scale,
            "weights": np.hstack([class_weights, cluster_weights, residual_weights, cost_weights]),
            "bias": np.concatenate([class_bias, no_bias, residual_bias, cost_bias]),
            "quality_mean": quality,
            "quality_error": error,
            "class_quality": class_means[0],
            "class_error": class_means[1],
            "class_cost": class_means[2],
            "cluster_quality": cluster_means[0],
            "cluster_error": cluster_means[1],
            "cluster_cost": cluster_means[2],
            "cost_mean": cost,
            "cost_ratio": cost_ratio,
        }
        models = self._fitter.table.models
        return Snapshot(
            models=models,
            classes=self._fitter.classes if self._has_classes else (),
            context_values=self._fitter.context_values,
            cold_models=tuple(models[column] for column in np.flatnonzero(self._cold)),
            cost_scale_usd=max(float(cost.max()), _COST_FLOOR_USD),
            fit_genes=fit_genes(self._genes),
            arrays={name: np.array(array, np.float32) for name, array in arrays.items()},
        )

    def _pool_means(self) -> tuple[Array, Array, Array]:
        """Mean score, its standard error, and mean cost of each model; cold models as `Snapshot` says."""
        count = np.maximum(self._known.sum(axis=0), 1)
        score = np.nansum(self._score, axis=0) / count
        cost = np.nansum(self._cost, axis=0) / count
        warm = ~self._cold
        score[self._cold] = max(float(score[warm].mean() - score[warm].std()), 0.0)
        cost[self._cold] = cost[warm].max()
        error = np.sqrt(score * (1 - score) / count + 0.25 / count**2)
        return score.astype(np.float32), error.astype(np.float32), cost.astype(np.float32)

    def _class_head(self) -> tuple[Array, Array]:
        """A linear score for each class; the softmax of the sharpened scores gives the class probabilities."""
        width = self._fitter.features(self._genes).shape[1]
        if not self._has_classes:
            return np.zeros((width, 0), np.float32), np.zeros(0, np.float32)
        one_hot = np.eye(len(self._fitter.classes), dtype=np.float32)[self._labels]
        if self._genes["classes.learner"] == "logistic":
            return self._fitter.logistic(
                self._genes, self._rows, int(self._genes["classes.inverse_penalty_log2"]), one_hot
            )
        return self._fitter.ridge("classes", self._genes, self._rows, int(self._genes["classes.ridge_log2"]), one_hot)

    def _cluster_head(self) -> tuple[Array, NDArray[np.intp]]:
        """Spherical k-means (Dhillon and Modha 2001) with k-means++ seeding; centroids are the linear scores."""
        x = self._fitter.features(self._genes)[self._rows]
        if not self._has_clusters:
            return np.zeros((x.shape[1], 0), np.float32), np.zeros(len(x), np.intp)
        count = min(int(self._genes["clusters.count"]), len(x))
        norms = np.linalg.norm(x, axis=1, keepdims=True)
        return spherical_kmeans(x / np.maximum(norms, np.float32(1e-9)), count)

    def _group_means(
        self, members: NDArray[np.intp], groups: int, quality: Array, error: Array, cost: Array
    ) -> tuple[Array, Array, Array]:
        """Mean score, standard error and mean cost by group and model, shrunk to the model's overall means."""
        prior = float(self._genes["quality.shrinkage"])
        one_hot = np.zeros((groups, len(members)))
        if groups:
            one_hot[members, np.arange(len(members))] = 1.0
        count = one_hot @ self._known
        total = one_hot @ np.nan_to_num(self._score)
        spent = one_hot @ np.nan_to_num(self._cost)
        mean = (total + prior * quality) / (count + prior)
        # No group is known better than its bounded scores allow, nor worse than the model as a whole.
        spread = np.maximum(np.sqrt(np.maximum(mean * (1 - mean), 0.01) / (count + prior)), error)
        mean_cost = (spent + prior * cost) / (count + prior)
        return mean.astype(np.float32), spread.astype(np.float32), mean_cost.astype(np.float32)

    def _fitted_means(
        self, quality: Array, class_quality: Array, cluster_quality: Array, members: NDArray[np.intp]
    ) -> Array:
        """What the means say about each chosen row; the residual head learns what is left."""
        parts: list[Array] = []
        if self._has_classes:
            parts.append(class_quality[self._labels])
        if self._has_clusters:
            parts.append(cluster_quality[members])
        if not parts:
            return np.broadcast_to(quality, self._score.shape).astype(np.float32)
        fitted: Array = np.mean(parts, axis=0, dtype=np.float32)
        return fitted

    def _residual_head(self, fitted: Array) -> tuple[Array, Array]:
        """Ridge regression of what the means leave unexplained; unknown outcomes count as explained."""
        width, models = self._fitter.features(self._genes).shape[1], self._score.shape[1]
        if self._genes["quality.residual"] != "on":
            return np.zeros((width, models), np.float32), np.zeros(models, np.float32)
        left = np.where(self._known, self._score - fitted, 0.0).astype(np.float32)
        penalty = int(self._genes["quality.residual_ridge_log2"])
        return self._fitter.ridge("residual", self._genes, self._rows, penalty, left)

    def _cost_head(self, cost_mean: Array) -> tuple[Array, Array, Array]:
        """Ridge regression of the log cost, with the ratio that makes the mean prediction of each model right."""
        width, models = self._fitter.features(self._genes).shape[1], self._score.shape[1]
        if self._genes["cost.predictor"] != "linear":
            return np.zeros((width, models), np.float32), np.zeros(models, np.float32), np.ones(models, np.float32)
        typical = np.log(np.maximum(cost_mean, _COST_FLOOR_USD))
        log_cost = np.log(np.maximum(np.nan_to_num(self._cost), _COST_FLOOR_USD))
        targets = np.where(self._known & (self._cost > 0), log_cost, typical).astype(np.float32)
        penalty = int(self._genes["cost.ridge_log2"])
        weights, bias = self._fitter.ridge("cost", self._genes, self._rows, penalty, targets)
        predicted = np.exp(self._fitter.features(self._genes)[self._rows] @ weights + bias)
        count = np.maximum(self._known.sum(axis=0), 1)
        ratio = cost_mean / np.maximum((predicted * self._known).sum(axis=0) / count, _COST_FLOOR_USD / 10)
        return weights, bias, np.where(self._cold, 1.0, np.clip(ratio, 0.2, 5.0)).astype(np.float32)
