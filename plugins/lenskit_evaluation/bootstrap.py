"""Bootstrap resamples and confidence intervals.

Source: Efron 1979, https://doi.org/10.1214/aos/1176344552.

A resample is stored as the count of each image. `scipy.stats.bootstrap` cannot resample groups of images, and it would
sort every resample to compute ranks; with counts, one sort is enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

LEVEL = 0.95
"""Confidence level of the intervals."""

BLOCK = 400_000
"""Number of elements in the array of a block of resamples, which limits the memory."""


@dataclass(frozen=True)
class Estimate:
    """Estimate of a metric with a confidence interval; undefined numbers are NaN.

    Attributes:
        value: Value of the metric, or mean value over several fits.
        low: Lower end of the interval.
        high: Upper end of the interval.
        spread: Standard deviation of the metric over several fits; NaN for a single fit.
    """

    value: float
    low: float = np.nan
    high: float = np.nan
    spread: float = np.nan

    def __str__(self) -> str:
        if np.isnan(self.value):
            return "-"
        interval = "" if np.isnan(self.low) else f" ({self.low:.3f} to {self.high:.3f})"
        return f"{self.value:.3f}{interval}"


def resample(
    units: ArrayLike, resamples: int, seed: int, strata: ArrayLike = 0, *, elements: int = BLOCK
) -> Iterator[Array]:
    """Yield the counts of n images in bootstrap resamples, in blocks.

    A block is an array (n, resamples of the block). The block size limits the memory and does not change the counts.

    Args:
        units: (n,) name or number of the lens that each image shows; images of one lens are sampled together. For a
            single lens there are no resamples: the block is (n, 0).
        resamples: Number of resamples.
        seed: Random seed of the resamples.
        strata: (n,) number of the class of each image, the same for all images of a lens. Each class is resampled
            separately, with a separate random generator: all resamples have the same number of lenses of a class.
        elements: Maximum number of elements in a block.
    """
    _, first, unit = np.unique(np.asarray(units), return_index=True, return_inverse=True)
    stratum = np.broadcast_to(np.asarray(strata), len(unit))[first]
    members = [(np.random.default_rng([seed, each]), np.flatnonzero(stratum == each)) for each in np.unique(stratum)]
    block = max(1, elements // len(unit))
    for start in range(0, resamples if len(first) > 1 else 1, block):
        size = min(block, resamples - start) if len(first) > 1 else 0
        counts = np.zeros((len(first), size))
        for rng, rows in members:
            drawn = rng.integers(len(rows), size=(size, len(rows))) * size + np.arange(size)[:, None]
            counts[rows] = np.bincount(drawn.ravel(), minlength=size * len(rows)).reshape(len(rows), size)
        yield counts[unit]


def estimate(values: ArrayLike, resampled: Array, level: float = LEVEL) -> Estimate:
    """Return a metric with a confidence interval from percentiles over the resamples.

    Args:
        values: Value of the metric, or values (fits,) for several fits.
        resampled: Value (resamples,) of the metric in each resample, or mean value over the fits; NaN if not defined.
        level: Confidence level of the interval.
    """
    each = np.atleast_1d(np.asarray(values, np.float64))
    value, spread = float(each.mean()), float(each.std(ddof=1)) if len(each) > 1 else np.nan
    if not np.isfinite(value) or not np.isfinite(resampled).any():
        return Estimate(value, spread=spread)
    low, high = np.nanquantile(resampled, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return Estimate(value, low, high, spread)
