"""Probes of several encoders, fitted to the same random samples of lenses."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from lenskit.evaluation import Array, Rows, Split
from lenskit_evaluation.probe.probing import NONE, RIDGE, Row, Targets, draw_lenses, judge, predict_draws
from lenskit_evaluation.probe.residuals import ROUND, is_round

log = logging.getLogger("lenskit")

ROUND_LENSES = f"|e| < {ROUND}"
FEWEST = 20
"""Minimum number of nearly round lenses for separate rows."""


class Bench:
    """Random samples of labelled lenses that the probes of all encoders are fitted to.

    Args:
        targets: Parameters to predict.
        split: Training and test lenses with labels; the features may be from any encoder.
        lenses: Maximum number of labelled lenses in a sample.
        seeds: Number of samples.
        seed: Random seed of samples, networks and bootstrap.
    """

    def __init__(self, targets: Targets, split: Split, lenses: int, seeds: int, seed: int) -> None:
        self.targets, self.seed = targets, seed
        self.draws = draw_lenses(split.train, lenses, seeds, seed)
        self.labels = len(self.draws[0])
        self.test = split.test
        count = len(np.unique(split.train.lens))
        if seeds > 1 and self.labels * seeds > count:
            log.info(
                "%d samples of %d of the %d labelled lenses overlap, so the standard deviation over them is too small",
                seeds, self.labels, count,
            )  # fmt: skip

    def predict(self, probe: str, split: Split, features: Sequence[Array]) -> list[Array]:
        """Return the predictions (samples, n, columns) for each set of features."""
        return predict_draws(probe, split.train, self.draws, self.targets, features, self.seed)

    def row(self, label: str, probe: str, split: Split) -> Row:
        """Return the row of a probe on the test lenses of a split."""
        (prediction,) = self.predict(probe, split, [split.test.features])
        return self._row(label, probe, split, split.test, prediction)

    def elsewhere(
        self, group: Mapping[str, Split], shifted: Mapping[str, Mapping[str, Rows]], constant: str
    ) -> list[Row]:
        """Return rows of ridge regressions for nearly round lenses and shifted priors.

        Args:
            group: Splits by the label of the encoder.
            shifted: Test features by the shifted prior and the label of the encoder.
            constant: Label of the row of the constant.
        """
        nearly = is_round(self.test)
        apart = nearly is not None and FEWEST <= nearly.sum() < len(nearly)
        if not shifted and not apart:
            return []
        rows: dict[str, list[Row]] = {}
        first = next(iter(group))
        for label, encoder, probe in [*((each, each, RIDGE) for each in group), (constant, first, NONE)]:
            split, moved = group[encoder], {shift: by_encoder[encoder] for shift, by_encoder in shifted.items()}
            images = [split.test.features, *(each.features for each in moved.values())]
            here, *others = self.predict(probe, split, images)
            if apart:
                assert nearly is not None
                row = self._row(label, probe, split, split.test.take(nearly), here[:, nearly], ROUND_LENSES)
                rows.setdefault(ROUND_LENSES, []).append(row)
            for (shift, test), prediction in zip(moved.items(), others, strict=True):
                rows.setdefault(shift, []).append(self._row(label, probe, split, test, prediction, shift))
        return [row for judged in rows.values() for row in judged]

    def _row(self, label: str, probe: str, split: Split, test: Rows, prediction: Array, judged: str = "") -> Row:
        scores = judge(self.targets, test, prediction, self.seed)
        features = 0 if probe == NONE else split.train.features.shape[1]
        return Row(label, probe, scores, self.labels, len(self.draws), judged, features)
