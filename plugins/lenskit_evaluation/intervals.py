"""Prediction intervals from residuals of held-out images (split conformal)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenskit_evaluation.stored import Stored


@dataclass(frozen=True)
class Intervals(Stored):
    """Half-widths of intervals that contain the truth with a stated probability.

    The probability is an average over images from the same distribution as the held-out images (Lei et al. 2018,
    https://doi.org/10.1080/01621459.2017.1307116, Theorem 2.2). It is not valid for a subset of the lenses. If the
    held-out images were simulated, it is not valid for real images.

    Attributes:
        residuals: (held-out images, parameters), absolute values in ascending order, with NaN at the end.
    """

    residuals: NDArray[np.float64]

    @classmethod
    def fit(cls, truth: ArrayLike, prediction: ArrayLike) -> Self:
        """Return the intervals that follow from the residuals of held-out images.

        Neither the encoder nor the probe may have been fitted to these images.

        Args:
            truth: (n, parameters), NaN if not known.
            prediction: (n, parameters).
        """
        residuals = np.abs(np.asarray(truth, np.float64) - np.asarray(prediction, np.float64))
        return cls(np.sort(residuals, axis=0))

    def half_width(self, level: float) -> NDArray[np.float64]:
        """Return half the width of the interval of each parameter.

        Args:
            level: Minimum probability that an interval contains the true value.

        Returns:
            (parameters,), infinite if there are too few held-out images for this level.
        """
        count = np.isfinite(self.residuals).sum(0)
        # The rank of a new residual among the n known ones is uniformly distributed on 1 .. n + 1.
        rank = np.ceil(level * (count + 1) * (1 - 1e-12)).astype(int)
        endless = np.full((1, self.residuals.shape[1]), np.inf)
        ladder = np.concatenate([self.residuals, endless])
        row = np.where(rank <= count, rank - 1, len(self.residuals))
        return ladder[row.clip(0), np.arange(ladder.shape[1])]
