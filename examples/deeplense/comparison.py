"""Two detectors on the same images, each trained several times: figures and their differences, with intervals.

Intervals are bootstrapped over the images that are judged on, which both detectors share, and over their trainings,
which they do not: a training of one is nothing to that of the other, though both were given the same seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lenskit_evaluation.anomaly.bootstrap import LEVEL, resample_ranks, resampled_counts
from lenskit_evaluation.anomaly.scored import Truth

Array = NDArray[np.float64]

RESAMPLES = 1000


@dataclass(frozen=True)
class Compared:
    """One figure of ours and of theirs.

    Attributes:
        ours: Mean over trainings.
        theirs: The same.
        low: Lower end of the 95 % interval of ours - theirs.
        high: Its upper end.
        higher_is_better: Whether it is.
    """

    ours: float
    theirs: float
    low: float
    high: float
    higher_is_better: bool

    @property
    def difference(self) -> float:
        """Ours - theirs."""
        return self.ours - self.theirs

    @property
    def verdict(self) -> str:
        """`better` or `worse` if the interval excludes zero, else nothing."""
        if self.low <= 0 <= self.high:
            return ""
        return "better" if (self.low > 0) == self.higher_is_better else "worse"


def compare_auc(truth: Truth, ours: Array, theirs: Array, seed: int = 0) -> Compared:
    """AUC of all anomalies together.

    Args:
        truth: What the n images are.
        ours: Scores (trainings, n).
        theirs: The same.
        seed: Seed of the resamples.
    """
    scores = {
        f"{side} {number}": row
        for side, rows in (("ours", ours), ("theirs", theirs))
        for number, row in enumerate(rows)
    }
    ranked = resample_ranks(truth, scores, {"all": truth.anomalies}, levels=(), resamples=RESAMPLES, seed=seed)
    values, resamples = (
        {side: np.array([getattr(ranked[f"{side} {k}"]["all"], what)[0] for k in range(len(rows))])
         for side, rows in (("ours", ours), ("theirs", theirs))}
        for what in ("values", "resamples")
    )  # fmt: skip
    return _compared(values, resamples, seed, higher_is_better=True)


def compare_normal(truth: Truth, ours: Array, theirs: Array, seed: int = 0) -> Compared:
    """The mean over normal images of an error (trainings, n), lower is better; see `compare_auc`."""
    normal = truth.is_class(truth.normal)
    sides = {"ours": ours[:, normal], "theirs": theirs[:, normal]}
    counts = np.concatenate(list(resampled_counts(truth.label[normal], RESAMPLES, seed)), axis=1)
    values = {side: rows.mean(1) for side, rows in sides.items()}
    resamples = {side: rows @ counts / normal.sum() for side, rows in sides.items()}
    return _compared(values, resamples, seed, higher_is_better=False)


def _compared(values: dict[str, Array], resamples: dict[str, Array], seed: int, higher_is_better: bool) -> Compared:
    """Of values (trainings,) and resamples of them (trainings, resamples), each training drawn anew in each."""
    rng = np.random.default_rng([seed, 1])
    drawn = {}
    for side, rows in resamples.items():
        trainings = rng.integers(len(rows), size=rows.shape)
        drawn[side] = np.take_along_axis(rows, trainings, axis=0).mean(0)
    low, high = np.quantile(drawn["ours"] - drawn["theirs"], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    means = (float(values[side].mean()) for side in ("ours", "theirs"))
    return Compared(*means, float(low), float(high), higher_is_better)
