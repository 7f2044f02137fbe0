"""Multinomial logistic regression, as far as a class predictor needs it."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from evolving_ai.decision.features import Array

__all__ = ["fit_logistic"]

_ITERATIONS = 60
_TOLERANCE = 1e-4  # relative gain in loss below which it stops


def fit_logistic(x: Array, one_hot: Array, inverse_penalty: float) -> tuple[Array, Array]:
    """Weights float32[features, classes] and bias float32[classes] for x float32[rows, features].

    Minimises cross-entropy + |weights|^2 / (2 inverse_penalty), the bias free, by L-BFGS (Liu and Nocedal 1989) from
    zero. Deterministic; it stops early, because the odds that a router reads change
    little long before the optimum is reached.
    """
    features, classes = x.shape[1], one_hot.shape[1]
    penalty = 1.0 / inverse_penalty

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        parameters = flat.reshape(features + 1, classes)
        weights = parameters[:features].astype(np.float32)
        scores = x @ weights + parameters[features].astype(np.float32)
        scores -= scores.max(axis=1, keepdims=True)
        log_total = np.log(np.exp(scores).sum(axis=1, keepdims=True))
        error = np.exp(scores - log_total) - one_hot
        gradient = np.empty_like(parameters)
        gradient[:features] = x.T @ error
        gradient[:features] += penalty * parameters[:features]
        gradient[features] = error.sum(axis=0)
        entropy = float(((log_total - scores) * one_hot).sum(dtype=np.float64))
        return entropy + 0.5 * penalty * float((parameters[:features] ** 2).sum()), gradient.ravel()

    start = np.zeros((features + 1) * classes)
    fitted = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS, "ftol": _TOLERANCE})
    parameters = fitted.x.reshape(features + 1, classes).astype(np.float32)
    return parameters[:features], parameters[features]
