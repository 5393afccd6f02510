"""Probes: regression of parameters on frozen features."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import GroupShuffleSplit
from sklearn.neighbors import KNeighborsRegressor

from lenskit.evaluation import fit_ridge
from lenskit.plugin import LenskitError
from lenskit_evaluation.stored import Stored

log = logging.getLogger("lenskit")

Array = NDArray[np.float64]

PENALTIES = np.logspace(-6, 3, 28)
"""Ridge penalties to choose from, in units of the number of images."""

NEIGHBORS = 64
"""Number of neighbours of the kNN regression, if there are at least `PART` times as many images."""

PART = 8
"""Smallest ratio of images to neighbours. With more neighbours, predictions would be close to the mean of all
images."""

HIDDEN = 128
"""Number of units in the hidden layer of the network probe."""

VALIDATED = 0.15
"""Share of the images that are held out for early stopping of the network."""


@dataclass(frozen=True)
class LinearProbe(Stored):
    """Linear map from features to parameters.

    Attributes:
        mean: (features,), subtracted from the features.
        scale: (features,), divides the features after the subtraction.
        coef: (parameters, features).
        intercept: (parameters,).
        penalty: (parameters,), the chosen ridge penalty of each parameter, in units of the number of images.
        names: Names of the parameters.
        units: Units of the parameters, empty for pure numbers.
    """

    mean: Array
    scale: Array
    coef: Array
    intercept: Array
    penalty: Array
    names: tuple[str, ...]
    units: tuple[str, ...]

    def predict(self, features: ArrayLike) -> Array:
        """Return the parameters (n, parameters) predicted from features (n, features)."""
        return _standardised(features, self.mean, self.scale) @ self.coef.T + self.intercept


@dataclass(frozen=True)
class RegressionProbe:
    """Regressions of scikit-learn on standardised features.

    Attributes:
        mean: (features,), subtracted from the features.
        scale: (features,), divides the features after the subtraction.
        regressors: For each set of parameters with labels for the same images: columns of the parameters, and the
            regression.
        names: Names of the parameters.
    """

    mean: Array
    scale: Array
    regressors: tuple[tuple[NDArray[np.intp], Any], ...]
    names: tuple[str, ...]

    def predict(self, features: ArrayLike) -> Array:
        """Return the parameters (n, parameters) predicted from features (n, features)."""
        x = _standardised(features, self.mean, self.scale)
        prediction = np.empty((len(x), len(self.names)))
        for columns, regressor in self.regressors:
            prediction[:, columns] = np.reshape(regressor.predict(x), (len(x), len(columns)))
        return prediction


def fit_linear_probe(
    features: ArrayLike, labels: ArrayLike, names: Sequence[str], units: Sequence[str] | None = None
) -> LinearProbe:
    """Fit a ridge regression to standardised features.

    Each parameter gets the penalty in `PENALTIES` with the lowest leave-one-out error. Every row should therefore show
    a different lens.

    Args:
        features: (n, features).
        labels: (n, parameters), NaN if not known.
        names: Names of the parameters.
        units: Units of the parameters.

    Raises:
        LenskitError: A feature is not finite, or a parameter has labels for fewer than two images.
    """
    x, y, mean, scale = _checked(features, labels, names)
    coef, intercept, penalty = np.empty((y.shape[1], x.shape[1])), np.empty(y.shape[1]), np.empty(y.shape[1])
    for columns, rows in _known_together(y):
        known_x, known_y = x[rows], y[np.ix_(rows, columns)]
        x_mean, y_mean = known_x.mean(0), known_y.mean(0)
        penalty[columns], coef[columns] = fit_ridge(known_x - x_mean, known_y - y_mean, PENALTIES)
        intercept[columns] = y_mean - coef[columns] @ x_mean
    return LinearProbe(mean, scale, coef, intercept, penalty, tuple(names), tuple(units or [""] * len(names)))


def fit_neighbor_probe(features: ArrayLike, labels: ArrayLike, names: Sequence[str]) -> RegressionProbe:
    """Fit a k-nearest-neighbour regression to standardised features.

    Neighbours are weighted by inverse distance. There are `NEIGHBORS` neighbours, but at most one for every `PART`
    images; a log line reports a smaller number.

    Args:
        features: (n, features).
        labels: (n, parameters), NaN if not known.
        names: Names of the parameters.

    Raises:
        LenskitError: A feature is not finite, or a parameter has labels for fewer than two images.
    """
    x, y, mean, scale = _checked(features, labels, names)
    regressors = []
    for columns, rows in _known_together(y):
        n = int(rows.sum())
        k = min(NEIGHBORS, max(1, n // PART))
        if k < NEIGHBORS:
            _log_neighbors(k, n)
        regressor = KNeighborsRegressor(k, weights="distance", algorithm="brute")
        regressors.append((columns, regressor.fit(x[rows], y[np.ix_(rows, columns)])))
    return RegressionProbe(mean, scale, tuple(regressors), tuple(names))


@cache
def _log_neighbors(k: int, n: int) -> None:
    """Log the number of neighbours, only once for each pair of numbers."""
    log.info("kNN uses %d neighbours instead of %d, because there are only %d images to fit", k, NEIGHBORS, n)


def fit_network_probe(features: ArrayLike, labels: ArrayLike, names: Sequence[str], seed: int = 0) -> RegressionProbe:
    """Fit a network with one hidden layer to standardised features and labels.

    Parameters with labels for the same images share one network. A share `VALIDATED` of the images is held out, and
    training stops when the error on the held-out images no longer decreases. Every row should therefore show a
    different lens.

    Args:
        features: (n, features).
        labels: (n, parameters), NaN if not known.
        names: Names of the parameters.
        seed: Random seed of the initial weights, of the order of the images, and of the held-out images.

    Raises:
        LenskitError: A feature is not finite, or a parameter has labels for fewer than two images.
    """
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor
    from sklearn.preprocessing import StandardScaler

    x, y, mean, scale = _checked(features, labels, names)
    regressors = []
    for columns, rows in _known_together(y):
        # Early stopping needs at least two held-out images.
        spare = rows.sum() * VALIDATED >= 2
        network = MLPRegressor(
            hidden_layer_sizes=(HIDDEN,), early_stopping=bool(spare), validation_fraction=VALIDATED, random_state=seed
        )
        regressor = TransformedTargetRegressor(network, transformer=StandardScaler())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            wanted = y[np.ix_(rows, columns)]
            regressors.append((columns, regressor.fit(x[rows], wanted[:, 0] if len(columns) == 1 else wanted)))
    return RegressionProbe(mean, scale, tuple(regressors), tuple(names))


def split_lenses(lenses: ArrayLike, held_out: float = 0.5, seed: int = 0) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Split images into two parts, with all images of a lens in the same part.

    Args:
        lenses: (n,) number or name of the lens that each image shows.
        held_out: Fraction of the lenses in the second part; each part has at least one lens.
        seed: Random seed of the shuffle.

    Returns:
        The numbers of the images in the first part and in the second part, in ascending order.

    Raises:
        LenskitError: All images show the same lens.
    """
    lenses = np.asarray(lenses)
    count = len(np.unique(lenses))
    if count < 2:
        raise LenskitError(f"{len(lenses)} images of {count} lens cannot be split: use at least two lenses")
    size = min(max(round(held_out * count), 1), count - 1)
    first, second = next(GroupShuffleSplit(1, test_size=size, random_state=seed).split(lenses, groups=lenses))
    return np.sort(first), np.sort(second)


def _checked(features: ArrayLike, labels: ArrayLike, names: Sequence[str]) -> tuple[Array, Array, Array, Array]:
    """Return standardised features, labels, and mean and scale of the features.

    The scale of a constant feature is 1.

    Raises:
        LenskitError: A feature is not finite, or a parameter has labels for fewer than two images.
    """
    x, y = np.asarray(features, np.float64), np.asarray(labels, np.float64)
    if not np.isfinite(x).all():
        raise LenskitError("some features are not finite: the encoder is broken, or some pixels are not finite")
    for name, count in zip(names, np.isfinite(y).sum(0), strict=True):
        if count < 2:
            raise LenskitError(f"{name} is known for {count} of {len(y)} images; a probe needs at least two")
    mean, scale = x.mean(0), x.std(0)
    scale[scale <= 1e-7 * np.abs(mean)] = 1  # rounding errors of constant float32 features
    return (x - mean) / scale, y, mean, scale


def _standardised(features: ArrayLike, mean: Array, scale: Array) -> Array:
    x = np.asarray(features, np.float64)
    if x.shape[1:] != mean.shape:
        raise LenskitError(f"the probe takes {len(mean)} features per image, got {x.shape[1:]}")
    return (x - mean) / scale


def _known_together(labels: Array) -> Iterator[tuple[NDArray[np.intp], NDArray[np.bool_]]]:
    """Yield column numbers that have labels in the same rows, and a mask of the rows."""
    patterns, which = np.unique(np.isfinite(labels), axis=1, return_inverse=True)
    for number, rows in enumerate(patterns.T):
        yield np.flatnonzero(which.ravel() == number), rows
