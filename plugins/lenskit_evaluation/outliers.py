"""Detector of images with features that differ from the training images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.covariance import ledoit_wolf

from lenskit.plugin import LenskitError
from lenskit_evaluation.stored import Stored


@dataclass(frozen=True)
class OutlierDetector(Stored):
    """Outlier detector: Mahalanobis distance from features of training images.

    Attributes:
        mean: (features,), mean features of the training images.
        whitening: (features, features), float32: matrix that transforms features minus `mean` to unit covariance.
        threshold: Distance above which an image is an outlier.
    """

    mean: NDArray[np.float64]
    whitening: NDArray[np.float32]
    threshold: float

    def distance(self, features: ArrayLike) -> NDArray[np.float64]:
        """Return the distances (n,) of features (n, features)."""
        return _distance(features, self.mean, self.whitening)

    def is_outlier(self, features: ArrayLike) -> NDArray[np.bool_]:
        """Return a mask (n,) of features (n, features) beyond the threshold or NaN."""
        return ~(self.distance(features) <= self.threshold)  # also True for NaN


def fit_outlier_detector(features: ArrayLike, held_out: ArrayLike, quantile: float = 0.99) -> OutlierDetector:
    """Fit an outlier detector to the features of training images.

    The covariance is shrunk (Ledoit & Wolf 2004, https://doi.org/10.1016/S0047-259X(03)00096-4). Without shrinkage,
    directions with almost no variance would dominate the distance.

    Args:
        features: (n, features) of the training images of the probe.
        held_out: (m, features) of held-out images from the same distribution, which set the threshold.
        quantile: Fraction of the held-out images below the threshold.

    Raises:
        LenskitError: A feature is not finite, or all features are constant.
    """
    x = np.asarray(features, np.float64)
    if not (np.isfinite(x).all() and np.isfinite(held_out).all()):
        raise LenskitError("some features are not finite: the encoder is broken, or some pixels are not finite")
    mean, scale = x.mean(0), x.std(0)
    varies = scale > 1e-7 * np.abs(mean)  # more than rounding errors of float32
    if not varies.any():
        raise LenskitError("all images have the same features: the encoder has collapsed")
    scale[~varies] = np.median(scale[varies])
    covariance, _ = ledoit_wolf((x - mean) / scale, assume_centered=True)
    variances, axes = np.linalg.eigh(covariance)
    whitening = (axes / np.sqrt(variances) / scale[:, None]).astype(np.float32)
    threshold = float(np.quantile(_distance(held_out, mean, whitening), quantile))
    return OutlierDetector(mean, whitening, threshold)


def _distance(features: ArrayLike, mean: NDArray[np.float64], whitening: NDArray[np.float32]) -> NDArray[np.float64]:
    x = np.asarray(features, np.float64)
    if x.shape[1:] != mean.shape:
        raise LenskitError(f"the outlier detector takes {len(mean)} features per image, got {x.shape[1:]}")
    return np.linalg.norm((x - mean) @ whitening, axis=1)
