"""Spherical k-means, as far as clusters of prompts need it."""

import numpy as np
from numpy.typing import NDArray

from evolving_ai._common.rng import derive_rng
from evolving_ai.decision.features import Array

__all__ = ["spherical_kmeans"]

_PASSES = 12


def spherical_kmeans(x: Array, count: int) -> tuple[Array, NDArray[np.intp]]:
    """Centroids as columns (float32[features, count], unit length) and the cluster of each row."""
    rng = derive_rng(0, "clusters", count, len(x))
    centroids = _spread_seeds(x, count, rng)
    members = np.zeros(len(x), np.intp)
    for _ in range(_PASSES):
        members = np.asarray((x @ centroids).argmax(axis=1), np.intp)
        one_hot = np.zeros((len(x), count), np.float32)
        one_hot[np.arange(len(x)), members] = 1.0
        sums = x.T @ one_hot
        norms = np.linalg.norm(sums, axis=0)
        centroids = np.where(norms > 0, sums / np.maximum(norms, np.float32(1e-9)), centroids).astype(np.float32)
    return centroids, members


def _spread_seeds(x: Array, count: int, rng: np.random.Generator) -> Array:
    """k-means++ (Arthur and Vassilvitskii 2007): each further seed with odds of its squared distance."""
    chosen = [int(rng.integers(len(x)))]
    nearest = 1.0 - (x @ x[chosen[0]]).astype(np.float64)
    for _ in range(count - 1):
        odds = np.maximum(nearest, 0.0)
        total = odds.sum()
        pick = int(rng.choice(len(x), p=odds / total)) if total > 0 else int(rng.integers(len(x)))
        chosen.append(pick)
        nearest = np.minimum(nearest, 1.0 - x @ x[pick])
    return np.ascontiguousarray(x[chosen].T, dtype=np.float32)
