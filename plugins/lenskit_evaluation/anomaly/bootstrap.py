"""Stratified bootstrap of ROC metrics, with the same resamples for all detectors.

Each class is resampled separately, so that every resample has the same number of images of each class. All detectors
use the same resamples, so that images that are difficult for all detectors do not add variance to the differences
between detectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from lenskit_evaluation.anomaly.area import difference_interval, erring_images, score_interval, trusted_correlation
from lenskit_evaluation.anomaly.scored import Truth
from lenskit_evaluation.bootstrap import LEVEL, Array, Estimate, estimate, resample
from lenskit_evaluation.rank import LEVELS, Ranking

AREA, AVERAGE_PRECISION = 0, 1
"""Row numbers of these metrics in the result of `Ranking.figures`."""


@dataclass(frozen=True)
class Difference(Estimate):
    """AUC of one detector minus the AUC of a second detector on the same images.

    Attributes:
        p: Two-sided p-value of the hypothesis of no difference. It is 1 - level of the widest interval that excludes
            zero, but at least 2 / (resamples + 1).
    """

    p: float = np.nan

    @property
    def significant(self) -> bool:
        """Whether the interval excludes zero."""
        return bool(self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Resampled:
    """Metrics of one ranking of images and of its resamples.

    Attributes:
        values: (k,) metrics in the order of `Ranking.figures`.
        resamples: (k, resamples) metrics of the resamples.
        normal: Number of normal images.
        anomalous: Number of anomalies.
        erring: Effective number of erring images, see `erring_images`.
    """

    values: Array
    resamples: Array
    normal: int
    anomalous: int
    erring: float

    @property
    def fewer(self) -> int:
        """Number of normal images or of anomalies, whichever is smaller."""
        return min(self.normal, self.anomalous)

    def unseen(self, level: float = LEVEL) -> float:
        """Return an upper limit of the share of wrong pairs if none was observed.

        A pair is a normal image and an anomaly. The sample has `fewer` pairs that share no image. The limit is the
        Clopper-Pearson limit for zero events in `fewer` trials (1934, https://doi.org/10.1093/biomet/26.4.404): with a
        larger share, at least one pair would be ranked wrongly (an anomaly below a normal image) with a probability
        above (1 + level) / 2.
        """
        return float(1 - ((1 - level) / 2) ** (1 / self.fewer))

    def estimates(self) -> list[Estimate]:
        """Return the metrics with confidence intervals.

        The interval of AUC is a score interval, see `area`. The intervals of the other metrics are percentiles of the
        resamples (Efron 1979, https://doi.org/10.1214/aos/1176344552). A metric that is 0 or 1, or equal in all
        resamples, has no scatter; its interval follows from the limit `unseen`. Without scatter, average precision has
        no interval, because `unseen` does not limit average precision.
        """
        return [self.area(), *(self._estimate(number) for number in range(1, len(self.values)))]

    def area(self, level: float = LEVEL) -> Estimate:
        """Return AUC with a score interval from the variance of the resamples."""
        value, drawn = float(self.values[AREA]), self.resamples[AREA]
        if self._contradicted(AREA):
            ends = score_interval(value, float(drawn.var()), self.normal, self.anomalous, self.erring, level)
            return Estimate(value, *ends)
        return self._alike(AREA, level)

    def minus(self, other: Resampled) -> Difference:
        """Return this AUC minus the AUC of a second detector on the same resamples.

        The interval follows from the intervals of both AUCs, see `difference_interval`. The width is zero if both
        detectors have the same AUC in each resample, unless the AUC has no scatter.
        """
        one, two = self.resamples[AREA], other.resamples[AREA]
        value = float(self.values[AREA] - other.values[AREA])
        if self._contradicted(AREA) and np.allclose(one, two, rtol=0, atol=1e-12):
            return Difference(value, value, value, p=1.0)
        both_scatter = self._contradicted(AREA) and other._contradicted(AREA)
        correlation = np.corrcoef(one, two)[0, 1] if both_scatter else 0.0
        correlation = trusted_correlation(float(correlation), min(self.erring, other.erring))

        def ends(level: float) -> tuple[float, float]:
            return difference_interval(self.area(level), other.area(level), correlation)

        def excess(p: float) -> float:
            """Return the distance of zero from an interval, negative if zero is inside.

            The level of the interval is 1 - p.
            """
            low, high = ends(1 - p)
            return low if value > 0 else -high

        least = min(1.0, 2 / (len(one) + 1))
        if value == 0 or excess(1.0) <= 0:
            p = 1.0
        else:
            p = least if excess(least) > 0 else float(brentq(excess, least, 1.0, xtol=1e-5))
        return Difference(value, *ends(LEVEL), p=p)

    def _estimate(self, number: int) -> Estimate:
        if self._contradicted(number):
            return estimate(self.values[number], self.resamples[number])
        if number == AVERAGE_PRECISION:
            return Estimate(float(self.values[number]))
        return self._alike(number)

    def _contradicted(self, number: int) -> bool:
        """Whether the metric is neither 0 nor 1 and differs between resamples."""
        return bool(self.values[number] not in (0, 1) and np.ptp(self.resamples[number]) > 1e-12)

    def _alike(self, number: int, level: float = LEVEL) -> Estimate:
        """Return a metric without scatter, with an interval from `unseen`."""
        value, unseen = float(self.values[number]), self.unseen(level)
        drawn, unlike = estimate(value, self.resamples[number], level), value * (1 - unseen)
        return Estimate(value, min(drawn.low, unlike), max(drawn.high, unlike + unseen))


def resample_ranks(
    truth: Truth,
    scores: Mapping[str, ArrayLike],
    groups: Mapping[str, Sequence[str]],
    *,
    levels: Sequence[float] = LEVELS,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, dict[str, Resampled]]:
    """Return metrics of several detectors on the same resamples.

    Args:
        truth: True classes of n images.
        scores: Scores (n,) of each detector by name.
        groups: Names of the anomaly classes in each group, by group name. The classes of a group count as one class.
        levels: False-positive rates for the true-positive rates.
        resamples: Number of resamples.
        seed: Random seed of the resamples.

    Returns:
        The metrics by detector and group.

    Raises:
        LenskitError: There are no normal images or no images of a group, or a score is NaN.
    """
    normal = np.flatnonzero(truth.is_class(truth.normal))
    members = {
        name: np.flatnonzero(np.any([truth.is_class(each) for each in classes], axis=0))
        for name, classes in groups.items()
    }
    arrays = {name: np.asarray(each, np.float64) for name, each in scores.items()}
    rankings = {
        (detector, name): Ranking(score[normal], score[rows])
        for detector, score in arrays.items()
        for name, rows in members.items()
    }
    drawn: dict[tuple[str, str], list[Array]] = {key: [] for key in rankings}
    for counts in resample(np.arange(len(truth.label)), resamples, seed, truth.label):
        normal_counts = counts[normal]
        for name, rows in members.items():
            group_counts = counts[rows]
            for detector in arrays:
                figures = rankings[detector, name].figures(normal_counts, group_counts, levels)
                drawn[detector, name].append(figures)
    return {
        detector: {
            name: Resampled(
                rankings[detector, name].figures(levels=levels)[:, 0],
                np.concatenate(drawn[detector, name], axis=1),
                len(normal),
                len(rows),
                _erring(rankings[detector, name]),
            )
            for name, rows in members.items()
        }
        for detector in arrays
    }  # fmt: skip


def paired_difference(
    truth: Truth,
    scores: ArrayLike,
    others: ArrayLike,
    *,
    among: str | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Difference:
    """Return the AUC of one detector minus the AUC of a second on the same images.

    See `Resampled.minus`.

    Args:
        truth: True classes of n images.
        scores: Scores (n,) of the first detector, or (seeds, n) of several trainings. The AUC of several trainings is
            the mean over trainings.
        others: Scores of the second detector, in the same form.
        among: Class of anomalies; by default, all anomalies.
        resamples: Number of resamples.
        seed: Random seed of the resamples.
    """
    sides = {"one": np.atleast_2d(np.asarray(scores)), "other": np.atleast_2d(np.asarray(others))}
    named = {f"{side} {number}": row for side, rows in sides.items() for number, row in enumerate(rows)}
    group = {"": truth.anomalies if among is None else (among,)}
    drawn = resample_ranks(truth, named, group, levels=(), resamples=resamples, seed=seed)
    one, other = (
        mean_of([by_group[""] for name, by_group in drawn.items() if name.startswith(f"{side} ")]) for side in sides
    )
    return one.minus(other)


def mean_of(parts: Sequence[Resampled]) -> Resampled:
    """Return the mean metrics of several rankings with the same resamples.

    The interval of the mean uses the smallest sample sizes among the rankings.
    """
    return Resampled(
        np.mean([each.values for each in parts], axis=0),
        np.mean([each.resamples for each in parts], axis=0),
        min(each.normal for each in parts),
        min(each.anomalous for each in parts),
        min(each.erring for each in parts),
    )


def resampled_means(truth: Truth, values: ArrayLike, resamples: int = 1000, seed: int = 0) -> dict[str, Estimate]:
    """Return the mean of values (n,) over each class, with bootstrap intervals.

    Classes without images are left out.
    """
    array = np.asarray(values, np.float64)
    rows = {name: np.flatnonzero(truth.is_class(name)) for name in truth.classes}
    rows = {name: those for name, those in rows.items() if len(those)}
    shares = np.stack([np.where(truth.is_class(name), array, 0) / len(those) for name, those in rows.items()])
    counts = resample(np.arange(len(array)), resamples, seed, truth.label)
    drawn = np.concatenate([shares @ block for block in counts], axis=1)
    return {name: estimate(*each) for name, *each in zip(rows, shares.sum(1), drawn, strict=True)}


def _erring(ranking: Ranking) -> float:
    """Return the effective number of erring images.

    For an AUC below 0.5, the ranking is reversed first.
    """
    normal, anomalous = ranking.errors()
    return erring_images(normal, anomalous) if normal.mean() <= 0.5 else erring_images(1 - normal, 1 - anomalous)
