"""How figures of ranks would scatter with other images: a stratified bootstrap that all detectors share.

Normal images and those of each class are resampled apart, so that every resample has as many of each. All detectors are
judged on the same resamples, so that what makes an image hard for all of them drops out of their differences.
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
"""Their places among the figures of `Ranking.figures`."""


@dataclass(frozen=True)
class Difference(Estimate):
    """AUC of one detector minus that of another on the same images.

    Attributes:
        p: Two-sided p-value of no difference: 1 - level of the widest interval that excludes zero, but never less than
            2 / (resamples + 1).
    """

    p: float = np.nan

    @property
    def significant(self) -> bool:
        """Whether the interval excludes zero."""
        return bool(self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Resampled:
    """Figures of one ranking, and of resamples of its images.

    Attributes:
        values: (k,) as `Ranking.figures` has them.
        resamples: (k, resamples).
        normal: How many normal images there are.
        anomalous: How many anomalies there are.
        erring: Effective number of images that are ranked on the wrong side of others, see `erring_images`.
    """

    values: Array
    resamples: Array
    normal: int
    anomalous: int
    erring: float

    @property
    def fewer(self) -> int:
        """How many normal images there are or how many anomalies, whichever are fewer."""
        return min(self.normal, self.anomalous)

    def unseen(self, level: float = LEVEL) -> float:
        """Return the largest share of pairs of a normal image and an anomaly that may be ranked otherwise where all are
        ranked alike: among as many pairs as `fewer`, which share no image, one is with a probability of (1 + level) / 2
        (Clopper & Pearson 1934, https://doi.org/10.1093/biomet/26.4.404)."""
        return float(1 - ((1 - level) / 2) ** (1 / self.fewer))

    def estimates(self) -> list[Estimate]:
        """The figures with their intervals: of AUC see `area`, of all others the percentiles of the resamples (Efron
        1979, https://doi.org/10.1214/aos/1176344552).

        Where no image contradicts another, no resample does: figures that are 0 or 1 or the same in all resamples have
        intervals that reach as far as `unseen`. Average precision, for which that is no bound, has none there.
        """
        return [self.area(), *(self._estimate(number) for number in range(1, len(self.values)))]

    def area(self, level: float = LEVEL) -> Estimate:
        """Return AUC with its score interval, which has the variance of the resamples."""
        value, drawn = float(self.values[AREA]), self.resamples[AREA]
        if self._contradicted(AREA):
            ends = score_interval(value, float(drawn.var()), self.normal, self.anomalous, self.erring, level)
            return Estimate(value, *ends)
        return self._alike(AREA, level)

    def minus(self, other: Resampled) -> Difference:
        """Return its AUC minus that of another detector on the same resamples.

        The interval is put together from those of both, see `difference_interval`. Of detectors that rank all images
        alike it is zero, unless they make no error.
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
            """How far from zero the nearer end of the interval of level 1 - p is, negative if zero is inside."""
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
        """Whether some image contradicts another, so that the figure differs between resamples."""
        return bool(self.values[number] not in (0, 1) and np.ptp(self.resamples[number]) > 1e-12)

    def _alike(self, number: int, level: float = LEVEL) -> Estimate:
        """A figure that all images agree on, with the interval that `unseen` bounds."""
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
    """Figures of several detectors on the same resamples.

    Args:
        truth: What n images are.
        scores: (n,) of each detector by its name.
        groups: Anomalies that are judged together: names of classes by the name of the group.
        levels: False-positive rates at which the true-positive rate is told.
        resamples: How many resamples.
        seed: Their seed.

    Returns:
        For each detector, each group.

    Raises:
        LenskitError: if there are no normal images or none of a group, or a score is NaN.
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
    """AUC of one detector minus that of another on the same images, see `Resampled.minus`.

    Args:
        truth: What n images are.
        scores: (n,) of the one; or (seeds, n) of several trainings of it, of which the mean AUC counts.
        others: The same of the other.
        among: Class of the anomalies; by default all.
        resamples: How many resamples.
        seed: Their seed.
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
    """The mean figures of several rankings with the same resamples; its interval takes the smallest of their sizes."""
    return Resampled(
        np.mean([each.values for each in parts], axis=0),
        np.mean([each.resamples for each in parts], axis=0),
        min(each.normal for each in parts),
        min(each.anomalous for each in parts),
        min(each.erring for each in parts),
    )


def resampled_means(truth: Truth, values: ArrayLike, resamples: int = 1000, seed: int = 0) -> dict[str, Estimate]:
    """The mean of values (n,) over the images of each class there is, with bootstrap intervals."""
    array = np.asarray(values, np.float64)
    rows = {name: np.flatnonzero(truth.is_class(name)) for name in truth.classes}
    rows = {name: those for name, those in rows.items() if len(those)}
    shares = np.stack([np.where(truth.is_class(name), array, 0) / len(those) for name, those in rows.items()])
    counts = resample(np.arange(len(array)), resamples, seed, truth.label)
    drawn = np.concatenate([shares @ block for block in counts], axis=1)
    return {name: estimate(*each) for name, *each in zip(rows, shares.sum(1), drawn, strict=True)}


def _erring(ranking: Ranking) -> float:
    """How many images err; of a ranking that is worse than chance, how many do not."""
    normal, anomalous = ranking.errors()
    return erring_images(normal, anomalous) if normal.mean() <= 0.5 else erring_images(1 - normal, 1 - anomalous)
