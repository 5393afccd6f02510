"""How far images lie from those that a probe was fitted to: each of them, and all together.

A probe knows only what is like the images it was fitted to. Where others lie is told in the space of the features, in
which it works: of each image by its distance, against the distances of images that are drawn like those fitted to; of
the set by whether it can be told from these at all. Many images that are each within the usual may be off together.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenskit.plugin import LenskitError
from lenskit_evaluation.bootstrap import Estimate, estimate, resample
from lenskit_evaluation.outliers import fit_outlier_detector

Array = NDArray[np.float64]

NEIGHBORS = 10
"""Neighbours whose mean distance is taken."""

FOLDS = 5
"""Parts in which images are told apart, each by what was fitted to the others."""

FEWEST = 10
"""Images below which a set is not told apart: an interval over fewer says nothing."""

PERMUTATIONS = 999


@dataclass(frozen=True)
class Distance:
    """A distance of each image from those fitted to.

    Attributes:
        images: (n,), of the images in question.
        usual: (m,), of held-out images like those fitted to.
    """

    images: Array
    usual: Array

    @property
    def percentile(self) -> Array:
        """Percentage (n,) of the usual distances that are smaller: uniform from 0 to 100 for images like them, and 100
        for one that is farther away than all."""
        ordered = np.sort(self.usual)
        lower, upper = (np.searchsorted(ordered, self.images, side=side) for side in ("left", "right"))
        return 50.0 * (lower + upper) / len(ordered)


@dataclass(frozen=True)
class Gap:
    """How far images lie from those fitted to.

    Attributes:
        mahalanobis: Distance from their mean, in units of their covariance (shrunk).
        neighbors: Mean distance from the nearest of them, in features of unit variance: far from all, rather than far
            from their middle.
        auc: Probability that a linear classifier tells an image from a held-out simulated one, out of sample: .5 where
            they are alike, 1 where each can be told. Its interval is that of the images in question.
        energy: Energy distance over twice the mean distance of the one from the others, 0 where they are alike and at
            most 1 (Szekely & Rizzo 2013, https://doi.org/10.1016/j.jspi.2013.03.018).
        p: Share of random parts of all images that have an energy distance as large.
    """

    mahalanobis: Distance
    neighbors: Distance
    auc: Estimate
    energy: float
    p: float


def find_gap(fitted: ArrayLike, held_out: ArrayLike, images: ArrayLike, seed: int = 0) -> Gap:
    """Measures how far images lie from others.

    Args:
        fitted: (k, d) features of the images that the probe was fitted to.
        held_out: (m, d) of images drawn like them.
        images: (n, d) of those in question.
        seed: Seed of the folds, of the permutations and of the bootstrap.

    Raises:
        LenskitError: if features are not finite, or do not vary.
    """
    x, usual, these = (np.asarray(each, np.float64) for each in (fitted, held_out, images))
    if not np.isfinite(these).all():
        raise LenskitError("some features are not finite: the encoder is broken, or was given such images")
    detector = fit_outlier_detector(x, usual)
    mean, scale = x.mean(0), x.std(0)
    scale[scale <= 1e-7 * np.abs(mean)] = 1
    x, near, far = ((each - mean) / scale for each in (x, usual, these))
    energy, p = energy_distance(far, near, seed)
    return Gap(
        Distance(detector.distance(these), detector.distance(usual)),
        Distance(_from_neighbors(x, far), _from_neighbors(x, near)),
        told_apart(far, near, seed),
        energy,
        p,
    )


def told_apart(images: Array, others: Array, seed: int = 0) -> Estimate:
    """How well a linear classifier tells images (n, d) from others (m, d), both of about unit variance: the area under
    the ROC curve, each image judged by a classifier that saw neither it nor those it is compared with; NaN for fewer
    than `FEWEST` of either."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    if min(len(images), len(others)) < FEWEST:
        return Estimate(np.nan)
    x = np.concatenate([images, others])
    is_image = np.arange(len(x)) < len(images)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    place = np.empty(len(x))
    for fit, judge in folds.split(x, is_image):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            classifier = LogisticRegression(C=0.01, class_weight="balanced", max_iter=300).fit(x[fit], is_image[fit])
        scores = classifier.decision_function(x[judge])
        ordered = np.sort(scores[~is_image[judge]])
        lower, upper = (np.searchsorted(ordered, scores, side=side) for side in ("left", "right"))
        place[judge] = (lower + upper) / 2 / len(ordered)
    # The share of others below an image, averaged over the images, is the area.
    areas = place[is_image]
    drawn = [areas @ counts / len(areas) for counts in resample(np.arange(len(areas)), 1000, seed)]
    return estimate(areas.mean(), np.concatenate(drawn))


def energy_distance(a: Array, b: Array, seed: int = 0) -> tuple[float, float]:
    """The energy distance of two samples (n, d) and (m, d), normalised to 0..1, and the share of permutations of all
    rows that have one as large."""
    from scipy.spatial.distance import cdist

    x = np.concatenate([a, b])
    apart = cdist(x, x)
    cross = apart[: len(a), len(a) :].mean()
    if cross == 0:
        return 0.0, 1.0
    weights = np.where(np.arange(len(x)) < len(a), 1 / len(a), -1 / len(b))
    rng = np.random.default_rng(seed)
    drawn = np.stack([weights, *(rng.permutation(weights) for _ in range(PERMUTATIONS))], axis=1)
    # 2 E|a - b| - E|a - a'| - E|b - b'|, as one quadratic form.
    energies = -np.einsum("ip,ip->p", drawn, apart @ drawn)
    return float(energies[0] / (2 * cross)), float((energies >= energies[0] * (1 - 1e-9)).mean())


def _from_neighbors(fitted: Array, features: Array) -> Array:
    """Mean distance (n,) of features from the nearest of those fitted to."""
    from sklearn.neighbors import NearestNeighbors

    count = min(NEIGHBORS, len(fitted))
    return NearestNeighbors(n_neighbors=count, algorithm="brute").fit(fitted).kneighbors(features)[0].mean(1)
