"""Baseline routers on TF-IDF text: nearest neighbours, and ridge regression, fitted on the train split.

Definitions (so that figures can be compared): words and pairs of words that stand in two prompts or more, at most
60,000, sublinear counts, the first 4,000 characters of a prompt. Ridge: penalty 3, on scores and on log costs.
Neighbours: the 40 most similar questions, weighted by cosine, with twice the mean of the train split as a prior.
Both choose by quality less weight times cost, over 72 weights.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evolving_ai.decision.outcome_table import OutcomeTable

__all__ = ["TextFeatures", "cost_weight_sweep", "neighbour_prediction", "ridge_prediction"]

_CHARACTERS = 4000
_NEIGHBOURS = 40
_PRIOR_WEIGHT = 2.0
_RIDGE_PENALTY = 3.0
_COST_FLOOR_USD = 1e-7

Prediction = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Predicted score and cost (USD): float64[queries, models] each."""


class TextFeatures:
    """Sparse TF-IDF rows of unit length: `train` and `test`; words are weighed by the train split alone."""

    def __init__(self, train: OutcomeTable, test: OutcomeTable) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, max_features=60_000, sublinear_tf=True)
        self.train: Any = vectorizer.fit_transform(_texts(train))
        self.test: Any = vectorizer.transform(_texts(test))


def _texts(table: OutcomeTable) -> list[str]:
    return [request.prompt[:_CHARACTERS] for request in table.requests]


def ridge_prediction(train: OutcomeTable, features: TextFeatures) -> Prediction:
    """One linear regression for each model's score and log cost."""
    from sklearn.linear_model import Ridge

    targets = np.hstack([train.score, np.log(train.cost_usd + _COST_FLOOR_USD)])
    predicted = Ridge(alpha=_RIDGE_PENALTY).fit(features.train, targets).predict(features.test)
    models = len(train.models)
    return predicted[:, :models], np.exp(predicted[:, models:])


def neighbour_prediction(train: OutcomeTable, features: TextFeatures) -> Prediction:
    """What the most similar questions had, by similarity."""
    similarity = np.asarray((features.test @ features.train.T).toarray())
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :_NEIGHBOURS]
    weight = np.take_along_axis(similarity, nearest, axis=1)
    return _weighted(train.score, nearest, weight), _weighted(train.cost_usd, nearest, weight)


def _weighted(
    values: NDArray[np.float64], nearest: NDArray[np.intp], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    total = _PRIOR_WEIGHT * values.mean(axis=0) + np.einsum("qk,qkm->qm", weight, values[nearest])
    return np.asarray(total / (_PRIOR_WEIGHT + weight.sum(axis=1, keepdims=True)), np.float64)


def cost_weight_sweep(prediction: Prediction) -> Iterator[NDArray[np.intp]]:
    """The chosen model of each query, for each weight: points of quality per USD, from none to a million."""
    quality, cost_usd = prediction
    for weight in (0.0, *np.logspace(-1, 6, 71)):
        yield np.asarray((quality - weight * cost_usd).argmax(axis=1), np.intp)
