"""Ridge regressions by which parameters are read off features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PENALTIES = np.logspace(-6, 3, 10)
"""Penalties that the ridge regression chooses from, in units of the number of lenses."""


def predicted(features: Array, values: Array, judge: Array) -> Array:
    """Predict parameters by a ridge regression on standardised features.

    For each parameter, the penalty is the one of `PENALTIES` with the least leave-one-out error.

    Args:
        features: (n, d), to fit to.
        values: (n, parameters), to fit to.
        judge: (m, d).

    Returns:
        (m, parameters).
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(features)
    ridge = RidgeCV(PENALTIES * len(features), alpha_per_target=True).fit(scaler.transform(features), values)
    return ridge.predict(scaler.transform(judge)).reshape(len(judge), -1)


def r2(truth: Array, prediction: Array) -> Array:
    """Return R2 of each parameter (n, parameters): (parameters,); NaN where the truth does not vary."""
    variation = ((truth - truth.mean(0)) ** 2).sum(0)
    return 1 - ((truth - prediction) ** 2).sum(0) / np.where(variation > 0, variation, np.nan)
