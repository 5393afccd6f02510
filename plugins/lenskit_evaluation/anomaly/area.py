"""Confidence intervals of areas under ROC curves and of their differences.

The intervals are also valid for areas near 1, where few images are ranked on the wrong side ("erring images"). Wald and
bootstrap intervals are too narrow there, because a sample with few erring images also has a small variance.

A score interval uses the variance that the area would have if an end of the interval were the true area (Newcombe 2006,
method 5, https://doi.org/10.1002/sim.2324). The variance has a formula for exponentially distributed scores (Hanley &
McNeil 1982, https://doi.org/10.1148/radiology.143.1.7063747). Here the formula is multiplied by (sample variance /
formula) ^ (e / (e + 2)), where e is the effective number of erring images. The sample variance thus dominates if there
are many erring images, and the formula if there are few. The exponent was chosen by simulation for this project;
`docs/how-to/anomaly.md` lists the coverage.

The interval of a difference follows from the intervals of both areas and the correlation of the areas by MOVER (Zou &
Donner 2008, https://doi.org/10.1002/sim.3095). It inherits the coverage and the asymmetry of both intervals.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.stats import norm

from lenskit_evaluation.bootstrap import Estimate

HALF = 2.0
"""Effective number of erring images for which the exponent e / (e + 2) is one half."""


def score_interval(
    area: float, variance: float, normal: int, anomalous: int, erring: float, level: float = 0.95
) -> tuple[float, float]:
    """Return the score interval of an area.

    Args:
        area: The area of the sample, neither 0 nor 1.
        variance: Variance of the area, from a bootstrap or from DeLong et al. (1988, https://doi.org/10.2307/2531595).
        normal: Number of normal images.
        anomalous: Number of anomalies.
        erring: Effective number of erring images, see `erring_images`.
        level: Probability that the interval contains the true area.
    """
    ratio = variance / hanley_mcneil(area, normal, anomalous)
    scale = ratio ** (erring / (erring + HALF)) * norm.ppf((1 + level) / 2) ** 2

    def outside(end: float) -> float:
        return (area - end) ** 2 - scale * hanley_mcneil(end, normal, anomalous)

    return float(brentq(outside, 0, area)), float(brentq(outside, area, 1))


def difference_interval(one: Estimate, other: Estimate, correlation: float) -> tuple[float, float]:
    """Return the confidence interval of the difference `one` - `other` by MOVER.

    Args:
        one: First area, with a confidence interval.
        other: Second area, with a confidence interval of the same level.
        correlation: Correlation of both areas over samples of images, -1 to 1.
    """

    def apart(a: float, b: float) -> float:
        return float(np.sqrt(max(0.0, a * a + b * b - 2 * correlation * a * b)))

    difference = one.value - other.value
    return (
        difference - apart(one.value - one.low, other.high - other.value),
        difference + apart(one.high - one.value, other.value - other.low),
    )


def trusted_correlation(correlation: float, erring: float) -> float:
    """Return the sample correlation of two areas, multiplied by e^2 / (e^2 + 4).

    Here e is the effective number of erring images. Few erring images do not determine the correlation, and a
    correlation that is too high makes the interval of the difference too narrow. The factor was chosen by simulation
    for this project.

    Args:
        correlation: Correlation of both areas in the sample.
        erring: Effective number of erring images, see `erring_images`; the smaller number of the two detectors.
    """
    return correlation * erring**2 / (erring**2 + HALF**2)


def hanley_mcneil(area: float, normal: int, anomalous: int) -> float:
    """Return the variance of an area by Hanley & McNeil (1982).

    As in Newcombe (2006), the mean of both sample sizes replaces each sample size in the numerator.
    """
    more = (normal + anomalous) / 2 - 1
    return area * (1 - area) * (1 + more * (1 - area) / (2 - area) + more * area / (1 + area)) / (normal * anomalous)


def erring_images(*shares: ArrayLike) -> float:
    """Return the effective number of erring images, (sum e)^2 / sum e^2.

    The number is computed for each side, and the smaller one is returned.

    Args:
        shares: For each side (normal images, anomalies), the shares e of its images. The share of an image is the
            fraction of images of the other side that are ranked wrongly relative to this image.
    """
    sides = [np.asarray(share, np.float64) for share in shares]
    return min(float(side.sum() ** 2 / np.square(side).sum()) if side.any() else 0.0 for side in sides)
