"""Domain gap between images and the training images of a probe, in feature space.

A probe is only reliable for images that resemble its training images. Features of images and training images are
compared in two ways. First, the distance of each image from the training images is compared with the distances of
held-out images, which have the same distribution as the training images. Second, the set of all images is compared with
the set of held-out images, because images may differ as a set although the distance of each image is usual.
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
"""Number of nearest training images in the mean distance."""

FOLDS = 5
"""Folds of the cross-validation of the classifier."""

FEWEST = 10
"""Minimum number of images for the classifier; intervals from fewer images would be meaningless."""

PERMUTATIONS = 999
"""Number of permutations for the p-value of the energy distance."""


@dataclass(frozen=True)
class Distance:
    """Distances from the training images.

    Attributes:
        images: Distances (n,) of the images to compare.
        usual: Distances (m,) of held-out images of the same distribution as the training images.
    """

    images: Array
    usual: Array

    @property
    def percentile(self) -> Array:
        """Percentage (n,) of the usual distances below each image's distance.

        For images with the same distribution, it is uniform between 0 and 100. For an image farther away than all
        held-out images, it is 100. Equal distances count half.
        """
        ordered = np.sort(self.usual)
        lower, upper = (np.searchsorted(ordered, self.images, side=side) for side in ("left", "right"))
        return 50.0 * (lower + upper) / len(ordered)


@dataclass(frozen=True)
class Gap:
    """Domain gap between images and training images.

    Attributes:
        mahalanobis: Mahalanobis distance from the mean of the training images, with a shrunk covariance.
        neighbors: Mean distance from the nearest training images, in features of unit variance. Unlike the Mahalanobis
            distance, it is large for images in a gap between clusters of training images.
        auc: Cross-validated area under the ROC curve of a linear classifier between the images and held-out images: 0.5
            for equal distributions, 1 for a perfect separation. The interval is a bootstrap over the images.
        energy: Energy distance between images and held-out images, divided by twice the mean distance between an image
            and a held-out image. It is between 0 (equal distributions) and 1 (Szekely & Rizzo 2013,
            https://doi.org/10.1016/j.jspi.2013.03.018).
        p: Share of random permutations of all images with an energy distance at least as large.
    """

    mahalanobis: Distance
    neighbors: Distance
    auc: Estimate
    energy: float
    p: float


def find_gap(fitted: ArrayLike, held_out: ArrayLike, images: ArrayLike, seed: int = 0) -> Gap:
    """Measure the domain gap of images.

    Args:
        fitted: Features (k, d) of the training images of the probe.
        held_out: Features (m, d) of held-out images with the same distribution as the training images.
        images: Features (n, d) of the images to compare.
        seed: Random seed of the folds, the permutations and the bootstrap.

    Raises:
        LenskitError: Features are not finite, or do not vary.
    """
    x, usual, these = (np.asarray(each, np.float64) for each in (fitted, held_out, images))
    if not np.isfinite(these).all():
        raise LenskitError("some features are not finite: the encoder is broken, or some pixels are not finite")
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
    """Return the cross-validated AUC of a linear classifier between two image sets.

    The classifier of a fold is trained on the other folds, and an image is only compared with images in the same fold.

    Args:
        images: Features (n, d), of about unit variance.
        others: Features (m, d), of about unit variance.
        seed: Random seed of the folds and the bootstrap.

    Returns:
        The area with a bootstrap interval over `images`; NaN if a set has fewer than `FEWEST` images.
    """
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
    # The area is the mean, over `images`, of the share of `others` with a lower score.
    areas = place[is_image]
    drawn = [areas @ counts / len(areas) for counts in resample(np.arange(len(areas)), 1000, seed)]
    return estimate(areas.mean(), np.concatenate(drawn))


def energy_distance(a: Array, b: Array, seed: int = 0) -> tuple[float, float]:
    """Return the normalised energy distance of two samples, and its p-value.

    Args:
        a: First sample (n, d).
        b: Second sample (m, d).
        seed: Random seed of the permutations.

    Returns:
        The distance between 0 and 1, and the share of permutations of all rows with a distance at least as large.
    """
    from scipy.spatial.distance import cdist

    x = np.concatenate([a, b])
    apart = cdist(x, x)
    cross = apart[: len(a), len(a) :].mean()
    if cross == 0:
        return 0.0, 1.0
    weights = np.where(np.arange(len(x)) < len(a), 1 / len(a), -1 / len(b))
    rng = np.random.default_rng(seed)
    drawn = np.stack([weights, *(rng.permutation(weights) for _ in range(PERMUTATIONS))], axis=1)
    # The energy distance 2 E|a - b| - E|a - a'| - E|b - b'|, as one quadratic form for all permutations.
    energies = -np.einsum("ip,ip->p", drawn, apart @ drawn)
    return float(energies[0] / (2 * cross)), float((energies >= energies[0] * (1 - 1e-9)).mean())


def _from_neighbors(fitted: Array, features: Array) -> Array:
    """Return the mean distance (n,) from the nearest neighbours in `fitted`."""
    from sklearn.neighbors import NearestNeighbors

    count = min(NEIGHBORS, len(fitted))
    return NearestNeighbors(n_neighbors=count, algorithm="brute").fit(fitted).kneighbors(features)[0].mean(1)
