"""Bootstrap resamples and intervals of figures (Efron 1979, https://doi.org/10.1214/aos/1176344552).

`scipy.stats.bootstrap` knows no groups of images and would sort each resample for its ranks; counts need one sort.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

LEVEL = 0.95
"""Probability that intervals contain."""

_BLOCK = 400_000
"""Elements of the arrays that are worked on at a time."""


@dataclass(frozen=True)
class Estimate:
    """A figure and its interval; NaN where it is not defined.

    Attributes:
        value: The figure; of several fits, their mean.
        low: Lower end of its interval.
        high: Upper end of its interval.
        spread: Standard deviation of the figure from fit to fit, if there are several.
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


def resample(units: ArrayLike, resamples: int, seed: int, strata: ArrayLike = 0) -> Iterator[Array]:
    """Count each of n images in bootstrap resamples, in blocks (n, some) whose size changes no count.

    Args:
        units: (n,) name or number of the lens that each image shows; images of one lens are drawn together. A single
            unit has no resamples: the block is (n, 0).
        resamples: Number of resamples.
        seed: Seed of the resamples.
        strata: (n,) number of each image's class, the same for all images of a unit. Each class is resampled with a
            generator of its own, so that all resamples have as many units of it.
    """
    _, first, unit = np.unique(np.asarray(units), return_index=True, return_inverse=True)
    stratum = np.broadcast_to(np.asarray(strata), len(unit))[first]
    members = [(np.random.default_rng([seed, each]), np.flatnonzero(stratum == each)) for each in np.unique(stratum)]
    block = max(1, _BLOCK // len(unit))
    for start in range(0, resamples if len(first) > 1 else 1, block):
        size = min(block, resamples - start) if len(first) > 1 else 0
        counts = np.zeros((len(first), size))
        for rng, rows in members:
            drawn = rng.integers(len(rows), size=(size, len(rows))) * size + np.arange(size)[:, None]
            counts[rows] = np.bincount(drawn.ravel(), minlength=size * len(rows)).reshape(len(rows), size)
        yield counts[unit]


def estimate(values: ArrayLike, resampled: Array, level: float = LEVEL) -> Estimate:
    """Return a figure with its interval, the percentiles of its resamples.

    Args:
        values: The figure, or that of each of several fits (fits,).
        resampled: (resamples,) the figure, or its mean over the fits; NaN where it is not defined.
        level: Probability that the interval contains.
    """
    each = np.atleast_1d(np.asarray(values, np.float64))
    value, spread = float(each.mean()), float(each.std(ddof=1)) if len(each) > 1 else np.nan
    if not np.isfinite(value) or not np.isfinite(resampled).any():
        return Estimate(value, spread=spread)
    low, high = np.nanquantile(resampled, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return Estimate(value, low, high, spread)
