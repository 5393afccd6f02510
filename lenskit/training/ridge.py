"""Ridge regressions of parameters on features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PENALTIES = np.logspace(-6, 3, 10)
"""Penalties that the ridge regression chooses from, in units of the number of lenses."""


def predicted(features: Array, values: Array, judge: Array) -> Array:
    """Predict parameters by a ridge regression on standardised features.

    See `fit_ridge` for the choice of the penalty.

    Args:
        features: Features of the lenses to fit to, (n, d).
        values: Parameters of the lenses to fit to, (n, parameters).
        judge: Features of the lenses to predict, (m, d).

    Returns:
        Predictions for `judge`, (m, parameters).
    """
    from sklearn.preprocessing import StandardScaler

    scaler, mean = StandardScaler().fit(features), values.mean(0)
    _, coefficients = fit_ridge(scaler.transform(features), values - mean, PENALTIES)
    return scaler.transform(judge) @ coefficients.T + mean


def fit_ridge(x: Array, y: Array, penalties: Array) -> tuple[Array, Array]:
    """Fit a ridge regression without intercept at the best penalty.

    The best penalty has the smallest leave-one-out error. Leaving out image i changes its residual from r_i to r_i / (1
    - h_i), where h_i is its leverage (PRESS, Allen 1974, https://doi.org/10.1080/00401706.1974.10489157). The
    subtracted mean contributes 1/n to the leverage. scikit-learn's `RidgeCV` gives the same result, but needs minutes
    for 8,000 images with 2,048 features.

    Args:
        x: (n, features), with a mean of zero.
        y: (n, parameters), with a mean of zero.
        penalties: Penalties to choose from, in units of n.

    Returns:
        The penalties (parameters,), in units of n, and the coefficients (parameters, features).
    """
    n, wide = len(x), len(x) < x.shape[1]
    variances, axes = np.linalg.eigh(x @ x.T if wide else x.T @ x)
    variances = variances.clip(0)
    z = axes * np.sqrt(variances) if wide else x @ axes
    projected = z.T @ y
    shrunk = 1 / (variances[:, None] + n * penalties)
    leverage = 1 / n + z**2 @ shrunk
    fitted = np.einsum("fp,fa->fpa", projected, shrunk).reshape(len(variances), -1)
    residuals = y[:, :, None] - (z @ fitted).reshape(*y.shape, -1)
    chosen = np.argmin(np.mean((residuals / (1 - leverage)[:, None]) ** 2, axis=0), axis=1)
    solved = axes @ ((axes.T @ y if wide else projected) * shrunk[:, chosen])
    return penalties[chosen], (x.T @ solved if wide else solved).T


def r2(truth: Array, prediction: Array) -> Array:
    """Return R2 of each parameter, (parameters,); NaN where the truth does not vary.

    Args:
        truth: True values, (n, parameters).
        prediction: Predicted values, (n, parameters).
    """
    variation = ((truth - truth.mean(0)) ** 2).sum(0)
    return 1 - ((truth - prediction) ** 2).sum(0) / np.where(variation > 0, variation, np.nan)
