"""Exact ranking metrics of anomaly scores, with ties handled correctly.

Only the order of the scores is used. A strictly increasing transformation of the scores therefore changes no metric.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenskit.plugin import LenskitError

Array = NDArray[np.float64]

LEVELS = (0.0, 0.01, 0.1)
"""False-positive rates at which the true-positive rate is computed."""


class Ranking:
    """Sorted scores of normal images and of anomalies.

    The metrics of many resamples are computed from a single sort.

    Args:
        normal: (n,) scores of normal images; a higher score is more anomalous.
        anomalous: (m,) scores of anomalies.

    Raises:
        LenskitError: There are no normal images or no anomalies, or a score is NaN.
    """

    def __init__(self, normal: ArrayLike, anomalous: ArrayLike) -> None:
        zeros, ones = (np.asarray(scores, np.float64).ravel() for scores in (normal, anomalous))
        if not len(zeros) or not len(ones):
            raise LenskitError(f"AUC is not defined for {len(zeros)} normal images and {len(ones)} anomalies")
        if np.isnan(zeros).any() or np.isnan(ones).any():
            raise LenskitError(f"{np.isnan(zeros).sum() + np.isnan(ones).sum()} scores are NaN and cannot be ranked")
        self._order = np.argsort(zeros, kind="stable"), np.argsort(ones, kind="stable")
        self.normal, self.anomalous = zeros[self._order[0]], ones[self._order[1]]
        # For each anomaly: the number of normal images with a lower score, the number with a lower or equal score,
        # and the number of anomalies with a lower score.
        self._below, self._upto = (np.searchsorted(self.normal, self.anomalous, side) for side in ("left", "right"))
        self._own = np.searchsorted(self.anomalous, self.anomalous, "left")
        # Number of anomalies that are missed if only scores above the k-th lowest normal score count as anomalies;
        # the first entry is a threshold below all scores.
        self._missed = np.concatenate([[0], np.searchsorted(self.anomalous, self.normal, "right")])

    def figures(
        self, normal: ArrayLike | None = None, anomalous: ArrayLike | None = None, levels: Sequence[float] = LEVELS
    ) -> Array:
        """Return AUC, average precision and true-positive rates for each resample.

        AUC is the Mann-Whitney statistic: the share of pairs of a normal image and an anomaly in which the anomaly has
        the higher score; ties count half (Hanley & McNeil 1982, https://doi.org/10.1148/radiology.143.1.7063747).
        Average precision is defined as in scikit-learn: the precision at each distinct score, weighted by the increase
        of the recall. The true-positive rate at a level is the highest over all thresholds with a false-positive rate
        of at most the level. There is no interpolation, and tied scores are all above a threshold or all below.

        Args:
            normal: (n, resamples) count of each normal image in each resample; by default, one resample that contains
                each image once.
            anomalous: (m, resamples) count of each anomaly in each resample.
            levels: False-positive rates, 0 to 1.

        Returns:
            (2 + levels, resamples).
        """
        zeros, ones = (
            np.ones((len(order), 1)) if counts is None else np.asarray(counts, np.float64)[order]
            for counts, order in zip((normal, anomalous), self._order, strict=True)
        )
        below, missed = _before(zeros), _before(ones)  # sums of integers, so comparisons below are exact
        n, m = below[-1], missed[-1]
        lower = below[self._below]
        area = _dot(ones, lower + below[self._upto]) / (2 * n * m)
        true, false = m - missed[self._own], n - lower
        precision = _dot(ones, true / np.maximum(true + false, 1)) / m
        # Slightly more than one, because 0.29 * 100 is less than 29 in floating point.
        allowed = np.floor(n[:, None] * np.asarray(levels) * (1 + 1e-12))
        beyond = map(np.searchsorted, np.ascontiguousarray(below[:-1].T), n[:, None] - allowed)
        caught = m - np.take_along_axis(missed, self._missed[np.stack(list(beyond), axis=1)], axis=0)
        return np.concatenate([[area, precision], caught / m])

    def errors(self) -> tuple[Array, Array]:
        """Return the share of wrongly ordered pairs of each normal image and anomaly.

        For a normal image, this is the share of anomalies with a lower score. For an anomaly, it is the share of normal
        images with a higher score. Ties count half. The mean of either array is 1 - AUC. Both arrays are in ascending
        order of the scores.
        """
        above = [np.searchsorted(self.anomalous, self.normal, side) for side in ("left", "right")]
        passed = (self._below + self._upto) / (2 * len(self.normal))
        return (above[0] + above[1]) / (2 * len(self.anomalous)), 1 - passed

    def curve(self) -> tuple[Array, Array]:
        """Return the ROC curve: false-positive and true-positive rates.

        The first threshold is above all scores. The next thresholds are the distinct scores in descending order.
        """
        thresholds = np.unique(np.concatenate([self.normal, self.anomalous]))[::-1]
        rates = [1 - np.searchsorted(s, thresholds) / len(s) for s in (self.normal, self.anomalous)]
        return np.concatenate([[0.0], rates[0]]), np.concatenate([[0.0], rates[1]])


def auc(normal: ArrayLike, anomalous: ArrayLike) -> float:
    """Return the area under the ROC curve; see `Ranking.figures`."""
    return float(Ranking(normal, anomalous).figures(levels=())[0, 0])


def average_precision(normal: ArrayLike, anomalous: ArrayLike) -> float:
    """Return the average precision; see `Ranking.figures`."""
    return float(Ranking(normal, anomalous).figures(levels=())[1, 0])


def true_positive_rate(normal: ArrayLike, anomalous: ArrayLike, level: float) -> float:
    """Return the true-positive rate at a false-positive rate of at most `level`.

    See `Ranking.figures`.
    """
    return float(Ranking(normal, anomalous).figures(levels=[level])[2, 0])


def roc_curve(normal: ArrayLike, anomalous: ArrayLike) -> tuple[Array, Array]:
    """Return false-positive and true-positive rates; see `Ranking.curve`."""
    return Ranking(normal, anomalous).curve()


def _before(counts: Array) -> Array:
    """Return cumulative sums over rows, starting at zero: (n + 1, resamples)."""
    sums = np.zeros((len(counts) + 1, counts.shape[1]))
    np.cumsum(counts, axis=0, out=sums[1:])
    return sums


def _dot(a: Array, b: Array) -> Array:
    """Return the dot product of each column of `a` with the same column of `b`."""
    return np.einsum("ij,ij->j", a, b)
