"""Prediction intervals from the residuals of held-out images (split conformal prediction)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenskit_evaluation.stored import Stored


@dataclass(frozen=True)
class Intervals(Stored):
    """Half-widths of intervals that contain the truth with a stated probability.

    They hold for images drawn as the held-out ones were, on average over them (Lei et al. 2018,
    https://doi.org/10.1080/01621459.2017.1307116, Theorem 2.2): not for one kind of lens among them, and not for real
    images if the held-out ones were simulated.

    Attributes:
        residuals: (held-out images, parameters), absolute and ascending, NaN at the end.
    """

    residuals: NDArray[np.float64]

    @classmethod
    def fit(cls, truth: ArrayLike, prediction: ArrayLike) -> Self:
        """From images that neither the encoder nor the probe was fitted to.

        Args:
            truth: (n, parameters), NaN where not known.
            prediction: (n, parameters).
        """
        residuals = np.abs(np.asarray(truth, np.float64) - np.asarray(prediction, np.float64))
        return cls(np.sort(residuals, axis=0))

    def half_width(self, level: float) -> NDArray[np.float64]:
        """Half the width of the intervals that contain the truth with at least this probability.

        Returns:
            (parameters,), infinite where there are too few held-out images for that level.
        """
        count = np.isfinite(self.residuals).sum(0)
        # The next residual's rank among the n known ones is uniform on 1 .. n + 1.
        rank = np.ceil(level * (count + 1) * (1 - 1e-12)).astype(int)
        endless = np.full((1, self.residuals.shape[1]), np.inf)
        ladder = np.concatenate([self.residuals, endless])
        row = np.where(rank <= count, rank - 1, len(self.residuals))
        return ladder[row.clip(0), np.arange(ladder.shape[1])]
