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
"""Penalties that the ridge regression chooses from, in units of the number of images."""

NEIGHBORS = 64
"""Neighbours of the kNN regression, when there are images enough."""

PART = 8
"""It takes no more than one in so many of the images: their mean would be all that it says."""

HIDDEN = 128
"""Units of the hidden layer of the small network."""

VALIDATED = 0.15
"""Part of the images by which its training is stopped."""


@dataclass(frozen=True)
class LinearProbe(Stored):
    """A linear map from features to parameters.

    Attributes:
        mean: (features,), subtracted from the features.
        scale: (features,), by which they are divided then.
        coef: (parameters, features).
        intercept: (parameters,).
        penalty: (parameters,), the ridge penalty chosen for each, in units of the number of images.
        names: Names of the parameters.
        units: Their units, empty for pure numbers.
    """

    mean: Array
    scale: Array
    coef: Array
    intercept: Array
    penalty: Array
    names: tuple[str, ...]
    units: tuple[str, ...]

    def predict(self, features: ArrayLike) -> Array:
        """Features (n, features) to parameters (n, parameters)."""
        return _standardised(features, self.mean, self.scale) @ self.coef.T + self.intercept


@dataclass(frozen=True)
class RegressionProbe:
    """Regressions of scikit-learn on standardised features.

    Attributes:
        mean: (features,), subtracted from the features.
        scale: (features,), by which they are divided then.
        regressors: For each set of parameters that are known of the same images: their columns, and the regression.
        names: Names of the parameters.
    """

    mean: Array
    scale: Array
    regressors: tuple[tuple[NDArray[np.intp], Any], ...]
    names: tuple[str, ...]

    def predict(self, features: ArrayLike) -> Array:
        """Features (n, features) to parameters (n, parameters)."""
        x = _standardised(features, self.mean, self.scale)
        prediction = np.empty((len(x), len(self.names)))
        for columns, regressor in self.regressors:
            prediction[:, columns] = np.reshape(regressor.predict(x), (len(x), len(columns)))
        return prediction


def fit_linear_probe(
    features: ArrayLike, labels: ArrayLike, names: Sequence[str], units: Sequence[str] | None = None
) -> LinearProbe:
    """Fits a ridge regression to standardised features.

    The penalty of each parameter is the one of `PENALTIES` with the least leave-one-out error, so every row should be
    another lens.

    Args:
        features: (n, features).
        labels: (n, parameters), NaN where not known.
        names: Names of the parameters.
        units: Units of the parameters.

    Raises:
        LenskitError: if there are features that are not finite, or a parameter is known of fewer than two images.
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
    """Fits a regression on nearest neighbours, weighted by inverse distance, to standardised features.

    It takes `NEIGHBORS` of them, or where that is fewer one in `PART` of the images, and logs it then.

    Args:
        features: (n, features).
        labels: (n, parameters), NaN where not known.
        names: Names of the parameters.

    Raises:
        LenskitError: as `fit_linear_probe`.
    """
    x, y, mean, scale = _checked(features, labels, names)
    regressors = []
    for columns, rows in _known_together(y):
        n = int(rows.sum())
        k = min(NEIGHBORS, max(1, n // PART))
        if k < NEIGHBORS:
            _tell_neighbors(k, n)
        regressor = KNeighborsRegressor(k, weights="distance", algorithm="brute")
        regressors.append((columns, regressor.fit(x[rows], y[np.ix_(rows, columns)])))
    return RegressionProbe(mean, scale, tuple(regressors), tuple(names))


@cache
def _tell_neighbors(k: int, n: int) -> None:
    """Once: every draw of every encoder has as many."""
    log.info("kNN takes %d neighbours instead of %d: there are %d images to fit", k, NEIGHBORS, n)


def fit_network_probe(features: ArrayLike, labels: ArrayLike, names: Sequence[str], seed: int = 0) -> RegressionProbe:
    """Fits a network with one hidden layer to standardised features and labels.

    Parameters that are known of the same images share one network. Its training stops when the error of images that are
    kept apart from it, `VALIDATED` of all, has stopped to fall, so every row should be another lens.

    Args:
        features: (n, features).
        labels: (n, parameters), NaN where not known.
        names: Names of the parameters.
        seed: Seed of the first weights, of the order of images and of which are kept apart.

    Raises:
        LenskitError: as `fit_linear_probe`.
    """
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor
    from sklearn.preprocessing import StandardScaler

    x, y, mean, scale = _checked(features, labels, names)
    regressors = []
    for columns, rows in _known_together(y):
        # Of a few images none can be spared to stop by.
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
    """Parts images in two, all images of a lens in the same part.

    Args:
        lenses: (n,) number or name of the lens that each image shows.
        held_out: Fraction of the lenses in the second part; either has one at least.
        seed: Seed of the shuffle.

    Returns:
        The numbers of the images in the first part and in the second, ascending.

    Raises:
        LenskitError: if all images show the same lens.
    """
    lenses = np.asarray(lenses)
    count = len(np.unique(lenses))
    if count < 2:
        raise LenskitError(f"{len(lenses)} images of {count} lens cannot be parted: it takes two lenses at least")
    size = min(max(round(held_out * count), 1), count - 1)
    first, second = next(GroupShuffleSplit(1, test_size=size, random_state=seed).split(lenses, groups=lenses))
    return np.sort(first), np.sort(second)


def _checked(features: ArrayLike, labels: ArrayLike, names: Sequence[str]) -> tuple[Array, Array, Array, Array]:
    """Standardised features, labels, and the mean and scale of the features; 1 for a feature that does not vary."""
    x, y = np.asarray(features, np.float64), np.asarray(labels, np.float64)
    if not np.isfinite(x).all():
        raise LenskitError("some features are not finite: the encoder is broken, or was given such images")
    for name, count in zip(names, np.isfinite(y).sum(0), strict=True):
        if count < 2:
            raise LenskitError(f"{name} is known of {count} of {len(y)} images; a probe needs two at least")
    mean, scale = x.mean(0), x.std(0)
    scale[scale <= 1e-7 * np.abs(mean)] = 1  # what float32 features that are all equal vary by
    return (x - mean) / scale, y, mean, scale


def _standardised(features: ArrayLike, mean: Array, scale: Array) -> Array:
    x = np.asarray(features, np.float64)
    if x.shape[1:] != mean.shape:
        raise LenskitError(f"the probe was fitted to {len(mean)} features an image, but is given {x.shape[1:]}")
    return (x - mean) / scale


def _known_together(labels: Array) -> Iterator[tuple[NDArray[np.intp], NDArray[np.bool_]]]:
    """For each set of columns that are known in the same rows: the columns, and which rows."""
    patterns, which = np.unique(np.isfinite(labels), axis=1, return_inverse=True)
    for number, rows in enumerate(patterns.T):
        yield np.flatnonzero(which.ravel() == number), rows
