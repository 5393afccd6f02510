"""Comparison of two detectors, each trained several times, on the same images.

The test images are resampled, and both detectors use the same resamples. The trainings are resampled separately for
each detector, because trainings with the same seed are still independent. Intervals of an error are percentiles of
these resamples. Intervals of AUC are computed as in `lenskit anomaly`, from the variance of these resamples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lenskit_evaluation.anomaly.bootstrap import AREA, mean_of, resample_ranks
from lenskit_evaluation.anomaly.scored import Truth
from lenskit_evaluation.bootstrap import estimate, resample

Array = NDArray[np.float64]

RESAMPLES = 1000


@dataclass(frozen=True)
class Compared:
    """Metric of lenskit and of the original package.

    Attributes:
        ours: Mean over the trainings of lenskit.
        theirs: Mean over the trainings of the original package.
        low: Lower end of the 95 % interval of ours - theirs.
        high: Upper end of this interval.
        higher_is_better: Whether a higher value is better.
    """

    ours: float
    theirs: float
    low: float
    high: float
    higher_is_better: bool

    @property
    def difference(self) -> float:
        """Difference ours - theirs."""
        return self.ours - self.theirs

    @property
    def verdict(self) -> str:
        """`better` or `worse` if the interval excludes zero, otherwise an empty text."""
        if self.low <= 0 <= self.high:
            return ""
        return "better" if (self.low > 0) == self.higher_is_better else "worse"


def compare_auc(truth: Truth, ours: Array, theirs: Array, seed: int = 0) -> Compared:
    """Compare the AUC of all anomalies together.

    Args:
        truth: Classes of the n images.
        ours: Scores (trainings, n) of lenskit.
        theirs: Scores (trainings, n) of the original package.
        seed: Random seed of the resamples.
    """
    sides = {"ours": ours, "theirs": theirs}
    scores = {f"{side} {number}": row for side, rows in sides.items() for number, row in enumerate(rows)}
    ranked = resample_ranks(truth, scores, {"all": truth.anomalies}, levels=(), resamples=RESAMPLES, seed=seed)
    parts = {side: [ranked[f"{side} {number}"]["all"] for number in range(len(rows))] for side, rows in sides.items()}
    drawn = _over_trainings(
        {side: np.stack([one.resamples[AREA] for one in each]) for side, each in parts.items()}, seed
    )
    one, other = (replace(mean_of(each), resamples=drawn[side][None]) for side, each in parts.items())
    difference = one.minus(other)
    return Compared(
        float(one.values[AREA]), float(other.values[AREA]), difference.low, difference.high, higher_is_better=True
    )


def compare_normal(truth: Truth, ours: Array, theirs: Array, seed: int = 0) -> Compared:
    """Compare the mean of an error over normal images; a lower error is better.

    Args:
        truth: Classes of the n images.
        ours: Errors (trainings, n) of lenskit.
        theirs: Errors (trainings, n) of the original package.
        seed: Random seed of the resamples.
    """
    normal = truth.is_class(truth.normal)
    sides = {"ours": ours[:, normal], "theirs": theirs[:, normal]}
    counts = np.concatenate(list(resample(np.arange(normal.sum()), RESAMPLES, seed)), axis=1)
    drawn = _over_trainings({side: rows @ counts / normal.sum() for side, rows in sides.items()}, seed)
    means = [float(rows.mean()) for rows in sides.values()]
    difference = estimate(means[0] - means[1], drawn["ours"] - drawn["theirs"])
    return Compared(*means, difference.low, difference.high, higher_is_better=False)


def _over_trainings(resamples: dict[str, Array], seed: int) -> dict[str, Array]:
    """Return the mean (resamples,) over trainings that are sampled with replacement.

    The rows of each array (trainings, resamples) are sampled separately for each column.
    """
    rng = np.random.default_rng([seed, 1])
    drawn = {}
    for side, rows in resamples.items():
        trainings = rng.integers(len(rows), size=rows.shape)
        drawn[side] = np.take_along_axis(rows, trainings, axis=0).mean(0)
    return drawn
