"""Confidence intervals of an area under a ROC curve and of a difference of two, also near 1, where few images err.

Wald and bootstrap intervals are too narrow there: a sample with few errors has a small variance, too. A score interval
has the variance that the statistic would have if an end of the interval were the true area (Newcombe 2006, method 5,
https://doi.org/10.1002/sim.2324), by the formula for exponentially distributed scores (Hanley & McNeil 1982,
https://doi.org/10.1148/radiology.143.1.7063747). Here this variance is multiplied by the ratio of the sample's variance
to the formula's, raised to the power e / (e + 2): the sample decides where many images err (e), and the formula where
few do. This power is ours, chosen by simulation; `docs/evaluations.md` has the coverage.

The interval of a difference is put together from those of both areas and their correlation (MOVER; Zou & Donner 2008,
https://doi.org/10.1002/sim.3095), which takes over their coverage and their asymmetry.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.stats import norm

from lenskit_evaluation.bootstrap import Estimate

HALF = 2.0
"""Erring images with which sample and formula count alike."""


def score_interval(
    area: float, variance: float, normal: int, anomalous: int, erring: float, level: float = 0.95
) -> tuple[float, float]:
    """Return the interval of an area.

    Args:
        area: The area found, neither 0 nor 1.
        variance: Its variance, as a bootstrap or DeLong et al. (1988, https://doi.org/10.2307/2531595) estimate it.
        normal: Normal images.
        anomalous: Anomalies.
        erring: How many images err, see `erring_images`.
        level: Probability that the interval contains the true area.
    """
    ratio = variance / hanley_mcneil(area, normal, anomalous)
    scale = ratio ** (erring / (erring + HALF)) * norm.ppf((1 + level) / 2) ** 2

    def outside(end: float) -> float:
        return (area - end) ** 2 - scale * hanley_mcneil(end, normal, anomalous)

    return float(brentq(outside, 0, area)), float(brentq(outside, area, 1))


def difference_interval(one: Estimate, other: Estimate, correlation: float) -> tuple[float, float]:
    """Return the interval of the difference `one` - `other`, by MOVER.

    Args:
        one: An area with its interval.
        other: Another area with its interval, of the same level.
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
    """Return a sample's correlation of two areas, multiplied by e^2 / (e^2 + 4).

    Few erring images (e) do not tell how alike two detectors err, and a correlation that is too high makes the interval
    of the difference too narrow. The factor is ours, chosen by simulation.

    Args:
        correlation: The sample's correlation.
        erring: How many images err, see `erring_images`; the smaller number of the two detectors.
    """
    return correlation * erring**2 / (erring**2 + HALF**2)


def hanley_mcneil(area: float, normal: int, anomalous: int) -> float:
    """Return the variance of an area, with the sizes of both samples replaced by their mean, as Newcombe has it."""
    more = (normal + anomalous) / 2 - 1
    return area * (1 - area) * (1 + more * (1 - area) / (2 - area) + more * area / (1 + area)) / (normal * anomalous)


def erring_images(*shares: ArrayLike) -> float:
    """Return the effective number of images that err, on the side where it is smaller: (sum e)^2 / sum e^2.

    Args:
        shares: For the images of each side, the share e of the other side that is ranked on the wrong side of it.
    """
    sides = [np.asarray(share, np.float64) for share in shares]
    return min(float(side.sum() ** 2 / np.square(side).sum()) if side.any() else 0.0 for side in sides)
