"""How well a score ranks anomalies above normal images: the exact figures, with ties as they are.

Scores are compared with each other and never computed with, so that whatever keeps their order keeps every figure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenskit.plugin import LenskitError

Array = NDArray[np.float64]

LEVELS = (0.0, 0.01, 0.1)
"""False-positive rates at which the true-positive rate is told."""


class Ranking:
    """Scores of normal images and of anomalies, sorted once for any number of resamples of them.

    Args:
        normal: (n,) scores of normal images; higher is stranger.
        anomalous: (m,) scores of anomalies.

    Raises:
        LenskitError: if there are none of either, or a score is NaN, which has no rank.
    """

    def __init__(self, normal: ArrayLike, anomalous: ArrayLike) -> None:
        zeros, ones = (np.asarray(scores, np.float64).ravel() for scores in (normal, anomalous))
        if not len(zeros) or not len(ones):
            raise LenskitError(f"{len(zeros)} normal images and {len(ones)} anomalies have no ranks: AUC is undefined")
        if np.isnan(zeros).any() or np.isnan(ones).any():
            raise LenskitError(f"{np.isnan(zeros).sum() + np.isnan(ones).sum()} scores are NaN, which has no rank")
        self._order = np.argsort(zeros, kind="stable"), np.argsort(ones, kind="stable")
        self.normal, self.anomalous = zeros[self._order[0]], ones[self._order[1]]
        # Of each anomaly: how many normal images, and how many anomalies, are less strange; and how many normal ones
        # are no stranger.
        self._below, self._upto = (np.searchsorted(self.normal, self.anomalous, side) for side in ("left", "right"))
        self._own = np.searchsorted(self.anomalous, self.anomalous, "left")
        # How many anomalies are caught no longer once the threshold is at each normal image, and at none.
        self._missed = np.concatenate([[0], np.searchsorted(self.anomalous, self.normal, "right")])

    def figures(
        self, normal: ArrayLike | None = None, anomalous: ArrayLike | None = None, levels: Sequence[float] = LEVELS
    ) -> Array:
        """AUC, average precision and true-positive rates, of all images or of resamples of them.

        AUC is the Mann-Whitney statistic: the share of pairs of a normal image and an anomaly in which the anomaly has
        the higher score; ties count half (Hanley & McNeil 1982, https://doi.org/10.1148/radiology.143.1.7063747).
        Average precision is scikit-learn's: the mean precision at each distinct score, weighted by the recall it adds.
        The true-positive rate at a level is the largest of any threshold whose false-positive rate does not exceed it;
        nothing is interpolated, and scores that are tied are caught together or not at all.

        Args:
            normal: (n, resamples) how often each normal image is in each resample; by default once in one.
            anomalous: (m, resamples) the same of anomalies.
            levels: False-positive rates, 0 to 1.

        Returns:
            (2 + levels, resamples).
        """
        zeros, ones = (
            np.ones((len(order), 1)) if counts is None else np.asarray(counts, np.float64)[order]
            for counts, order in zip((normal, anomalous), self._order, strict=True)
        )
        below, missed = _before(zeros), _before(ones)  # counts are whole numbers, so that sums are exact
        n, m = below[-1], missed[-1]
        lower = below[self._below]
        area = _dot(ones, lower + below[self._upto]) / (2 * n * m)
        true, false = m - missed[self._own], n - lower
        precision = _dot(ones, true / np.maximum(true + false, 1)) / m
        # A tiny bit more, for .29 * 100 is less than 29.
        allowed = np.floor(n[:, None] * np.asarray(levels) * (1 + 1e-12))
        beyond = map(np.searchsorted, np.ascontiguousarray(below[:-1].T), n[:, None] - allowed)
        caught = m - np.take_along_axis(missed, self._missed[np.stack(list(beyond), axis=1)], axis=0)
        return np.concatenate([[area, precision], caught / m])

    def errors(self) -> tuple[Array, Array]:
        """For each normal image the share of anomalies that are less strange, and for each anomaly the share of normal
        images that are stranger, both in the order of the scores. Ties count half; the mean of either is 1 - AUC."""
        above = [np.searchsorted(self.anomalous, self.normal, side) for side in ("left", "right")]
        passed = (self._below + self._upto) / (2 * len(self.normal))
        return (above[0] + above[1]) / (2 * len(self.anomalous)), 1 - passed

    def curve(self) -> tuple[Array, Array]:
        """The ROC curve: false- and true-positive rates with the threshold above all scores, and at each distinct one
        from the highest to the lowest."""
        thresholds = np.unique(np.concatenate([self.normal, self.anomalous]))[::-1]
        rates = [1 - np.searchsorted(s, thresholds) / len(s) for s in (self.normal, self.anomalous)]
        return np.concatenate([[0.0], rates[0]]), np.concatenate([[0.0], rates[1]])


def auc(normal: ArrayLike, anomalous: ArrayLike) -> float:
    """Area under the ROC curve, as `Ranking.figures` has it."""
    return float(Ranking(normal, anomalous).figures(levels=())[0, 0])


def average_precision(normal: ArrayLike, anomalous: ArrayLike) -> float:
    """Average precision, as `Ranking.figures` has it."""
    return float(Ranking(normal, anomalous).figures(levels=())[1, 0])


def true_positive_rate(normal: ArrayLike, anomalous: ArrayLike, level: float) -> float:
    """The true-positive rate at a false-positive rate of at most `level`, as `Ranking.figures` has it."""
    return float(Ranking(normal, anomalous).figures(levels=[level])[2, 0])


def roc_curve(normal: ArrayLike, anomalous: ArrayLike) -> tuple[Array, Array]:
    """False- and true-positive rates, as `Ranking.curve` has them."""
    return Ranking(normal, anomalous).curve()


def _before(counts: Array) -> Array:
    """Sums of what is above each row, and of all: (n + 1, resamples)."""
    sums = np.zeros((len(counts) + 1, counts.shape[1]))
    np.cumsum(counts, axis=0, out=sums[1:])
    return sums


def _dot(a: Array, b: Array) -> Array:
    """The product of each column with the same of the other."""
    return np.einsum("ij,ij->j", a, b)
