"""Two detectors on the same images, each trained several times: figures and their differences, with intervals.

Resamples are drawn of the images that are judged on, which both detectors share, and of their trainings, which they do
not: a training of one is nothing to that of the other, though both were given the same seed. Intervals of an error are
percentiles of these resamples, those of AUC are `lenskit anomaly`'s, with the scatter of these resamples.
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
    """The mean over normal images of an error (trainings, n), lower is better; see `compare_auc`."""
    normal = truth.is_class(truth.normal)
    sides = {"ours": ours[:, normal], "theirs": theirs[:, normal]}
    counts = np.concatenate(list(resample(np.arange(normal.sum()), RESAMPLES, seed)), axis=1)
    drawn = _over_trainings({side: rows @ counts / normal.sum() for side, rows in sides.items()}, seed)
    means = [float(rows.mean()) for rows in sides.values()]
    difference = estimate(means[0] - means[1], drawn["ours"] - drawn["theirs"])
    return Compared(*means, difference.low, difference.high, higher_is_better=False)


def _over_trainings(resamples: dict[str, Array], seed: int) -> dict[str, Array]:
    """Return means (resamples,) over trainings of resamples (trainings, resamples), with trainings drawn in each."""
    rng = np.random.default_rng([seed, 1])
    drawn = {}
    for side, rows in resamples.items():
        trainings = rng.integers(len(rows), size=rows.shape)
        drawn[side] = np.take_along_axis(rows, trainings, axis=0).mean(0)
    return drawn
