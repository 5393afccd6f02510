"""Metrics of anomaly detectors and their differences, with confidence intervals."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from lenskit.plugin import LenskitError
from lenskit.toolbox import listed
from lenskit_evaluation.anomaly.bootstrap import Difference, Resampled, mean_of, resample_ranks, resampled_means
from lenskit_evaluation.anomaly.scored import Scored, Shown, Truth
from lenskit_evaluation.bootstrap import Estimate
from lenskit_evaluation.rank import LEVELS, roc_curve

log = logging.getLogger("lenskit")

Array = NDArray[np.float64]

TOGETHER = "all anomalies"
"""Name of the group of all anomalies, used if there are several classes of anomalies."""

MANY = 4
"""With more classes of anomalies, tables and plots show only the worst class, the mean and all anomalies together."""

FEW = 10
"""Warn if a class has fewer images than this."""


@dataclass(frozen=True)
class Curve:
    """A ROC curve with a confidence band.

    Attributes:
        false_positive: False-positive rates, from 0 to 1, at each distinct score.
        true_positive: True-positive rate at each of these false-positive rates.
        levels: False-positive rates at which the band is computed.
        low: Lower end of the 95 % interval of the true-positive rate at each of the `levels`.
        high: Upper end of this interval.
    """

    false_positive: Array
    true_positive: Array
    levels: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class Figures:
    """Metrics of a detector for one group of anomalies against normal images.

    Attributes:
        auc: Area under the ROC curve.
        average_precision: Average precision; it depends on the share of anomalies among the images.
        true_positive: True-positive rate at each maximum false-positive rate. NaN if the false-positive rate is above
            0 but corresponds to less than one normal image.
        curve: The ROC curve.
    """

    auc: Estimate
    average_precision: Estimate
    true_positive: dict[float, Estimate]
    curve: Curve


@dataclass(frozen=True)
class Judgement:
    """Results of one detector.

    Attributes:
        scored: Scores of the images.
        figures: Metrics by class of anomalies and, if there are several classes, of all anomalies together.
        errors: Mean of each metric in `scored.errors` over each class, by metric and class.
        mean: Mean AUC over the classes of anomalies.
    """

    scored: Scored
    figures: dict[str, Figures]
    errors: dict[str, dict[str, Estimate]]
    mean: Estimate

    @property
    def worst(self) -> str:
        """Class of anomalies with the smallest AUC."""
        classes = {name: figures.auc.value for name, figures in self.figures.items() if name != TOGETHER}
        return min(classes, key=lambda name: classes[name])

    @property
    def together(self) -> Figures:
        """Metrics of all anomalies together."""
        return list(self.figures.values())[-1]


@dataclass(frozen=True)
class Judged:
    """Results of `lenskit anomaly`.

    Attributes:
        truth: True classes of the images.
        detectors: Results of the detectors by name.
        differences: AUC of all anomalies by the first detector minus by the second, by the names of both detectors.
        shown: Some images and their reconstructions; None if no detector reconstructs.
    """

    truth: Truth
    detectors: dict[str, Judgement]
    differences: dict[tuple[str, str], Difference]
    shown: Shown | None = None

    @property
    def groups(self) -> list[str]:
        """Names of the groups of anomalies to plot.

        There is a group for each class, and one for all anomalies together. With more than `MANY` classes, the only
        groups are the worst class of the first detector and all anomalies together.
        """
        first = next(iter(self.detectors.values()))
        return [first.worst, TOGETHER] if len(self.truth.anomalies) > MANY else list(first.figures)


def judge(
    truth: Truth, scored: Mapping[str, Scored], shown: Shown | None = None, *, resamples: int = 1000, seed: int = 0
) -> Judged:
    """Evaluate detectors on the same images and the same resamples of the images.

    Args:
        truth: True classes of the images.
        scored: Scores of each detector by name.
        shown: Images for the plot of reconstructions.
        resamples: Number of bootstrap resamples for confidence intervals.
        seed: Random seed of the resamples.

    Raises:
        LenskitError: There are no normal images or no anomalies, or a score is NaN.
    """
    check(truth, scored)
    groups: dict[str, tuple[str, ...]] = {name: (name,) for name in truth.anomalies}
    if len(groups) > 1:
        groups[TOGETHER] = truth.anomalies
    grid = _grid(int(truth.is_class(truth.normal).sum()))
    drawn = resample_ranks(
        truth, {name: detector.scores for name, detector in scored.items()}, groups,
        levels=[*LEVELS, *grid], resamples=resamples, seed=seed,
    )  # fmt: skip
    detectors = {
        name: Judgement(
            detector,
            {
                group: _figures(truth, detector.scores, classes, drawn[name][group], grid)
                for group, classes in groups.items()
            },
            {figure: resampled_means(truth, values, resamples, seed) for figure, values in detector.errors.items()},
            mean_of([drawn[name][group] for group in truth.anomalies]).estimates()[0],
        )
        for name, detector in scored.items()
    }
    last = list(groups)[-1]
    differences = {(b, a): drawn[b][last].minus(drawn[a][last]) for a, b in combinations(scored, 2)}
    return Judged(truth, detectors, differences, shown)


def check(truth: Truth, scored: Mapping[str, Scored]) -> None:
    """Check that ROC curves are defined, and warn about classes with few images.

    Raises:
        LenskitError: There are no normal images or no anomalies, or a score is NaN.
    """
    n, names = len(truth.label), list(truth.names) or [f"number {i}" for i in range(len(truth.label))]
    counts = {name: int(truth.is_class(name).sum()) for name in (truth.normal, *truth.anomalies)}
    if not truth.anomalies:
        raise LenskitError(f"all {n} images are of the class {truth.normal}: without anomalies AUC is not defined")
    if not counts[truth.normal]:
        there = ", ".join(truth.anomalies)
        raise LenskitError(f"no image is of the class {truth.normal}, all {n} are of {there}: AUC is not defined")
    for name, detector in scored.items():
        bad = np.flatnonzero(np.isnan(detector.scores))
        if len(bad):
            raise LenskitError(f"{name}: {len(bad)} of {n} scores are NaN, the first of image {names[bad[0]]}")
    if few := [f"{name} ({count})" for name, count in counts.items() if count < FEW]:
        log.warning(
            "%s with fewer than %d images: %s; the metrics are uncertain and the intervals only approximate",
            "a class" if len(few) == 1 else "classes", FEW, listed(few),
        )  # fmt: skip


def _figures(truth: Truth, scores: Array, classes: tuple[str, ...], drawn: Resampled, grid: Array) -> Figures:
    area, precision, *rates = drawn.estimates()
    table, band = rates[: len(LEVELS)], rates[len(LEVELS) :]
    anomalous = np.any([truth.is_class(name) for name in classes], axis=0)
    normal = scores[truth.is_class(truth.normal)]
    curve = roc_curve(normal, scores[anomalous])
    low, high = np.array([[each.low, each.high] for each in band] + [[1.0, 1.0]]).T
    told = {
        level: rate if level == 0 or resolved(level, len(normal)) else Estimate(np.nan)
        for level, rate in zip(LEVELS, table, strict=True)
    }
    return Figures(area, precision, told, Curve(*curve, np.append(grid, 1.0), low, high))


def resolved(level: float, normal: int) -> bool:
    """Whether a false-positive rate corresponds to at least one of the normal images.

    Args:
        level: The false-positive rate.
        normal: Number of normal images.
    """
    return level * normal * (1 + 1e-12) >= 1


def _grid(normal: int) -> Array:
    """Return the false-positive rates at which the band is computed.

    The rates are spaced evenly and, in addition, evenly in the logarithm. The smallest positive rate corresponds to one
    normal image. The rate 1 is left out, because the true-positive rate is 1 there.
    """
    grid = np.unique(np.concatenate([[0.0], np.geomspace(1 / normal, 1, 60), np.linspace(0, 1, 101)]))
    return grid[grid < 1]
