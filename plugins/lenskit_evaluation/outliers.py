"""Which images are unlike those that the probe was fitted to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.covariance import ledoit_wolf

from lenskit.plugin import LenskitError
from lenskit_evaluation.stored import Stored


@dataclass(frozen=True)
class OutlierDetector(Stored):
    """The Mahalanobis distance of an image's features from those of the training images.

    Attributes:
        mean: (features,).
        whitening: (features, features), float32: takes features minus the mean to unit covariance.
        threshold: Distance above which an image is an outlier.
    """

    mean: NDArray[np.float64]
    whitening: NDArray[np.float32]
    threshold: float

    def distance(self, features: ArrayLike) -> NDArray[np.float64]:
        """Features (n, features) to distances (n,)."""
        return _distance(features, self.mean, self.whitening)

    def is_outlier(self, features: ArrayLike) -> NDArray[np.bool_]:
        """Features (n, features) to whether each is farther away than the threshold: (n,)."""
        return ~(self.distance(features) <= self.threshold)  # a feature that is not finite makes one, too


def fit_outlier_detector(features: ArrayLike, held_out: ArrayLike, quantile: float = 0.99) -> OutlierDetector:
    """Fits a Gaussian to features, with the covariance shrunk (Ledoit & Wolf 2004,
    https://doi.org/10.1016/S0047-259X(03)00096-4) so that directions in which they hardly vary do not decide.

    Args:
        features: (n, features) of the images that the probe was fitted to.
        held_out: (m, features) of images drawn like them, to set the threshold: 1 - `quantile` of them are beyond it.
        quantile: Fraction of such images that are not called outliers.

    Raises:
        LenskitError: if there are features that are not finite, or none that varies.
    """
    x = np.asarray(features, np.float64)
    if not (np.isfinite(x).all() and np.isfinite(held_out).all()):
        raise LenskitError("some features are not finite: the encoder is broken, or was given such images")
    mean, scale = x.mean(0), x.std(0)
    varies = scale > 1e-7 * np.abs(mean)  # by more than the rounding of float32
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
        raise LenskitError(f"the outlier detector was fitted to {len(mean)} features an image, not {x.shape[1:]}")
    return np.linalg.norm((x - mean) @ whitening, axis=1)
