"""R2 of ridge regressions against the number of labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lenskit.evaluation import Split
from lenskit_evaluation.metrics import score
from lenskit_evaluation.probe.probing import RIDGE, Targets, draw_lenses, predict_draws

MOST_DRAWS = 10
"""Maximum number of random samples of lenses of the same size."""


@dataclass(frozen=True)
class Point:
    """Scores of a parameter for one number of labels.

    Attributes:
        label: Label of the encoder.
        parameter: Name of the parameter.
        labels: Number of labelled lenses.
        r2: R2 for each random sample of lenses.
        mae: Mean absolute error for each sample, in the parameter's unit.
    """

    label: str
    parameter: str
    labels: int
    r2: tuple[float, ...]
    mae: tuple[float, ...]


def sizes(most: int) -> list[int]:
    """Return 10, 30, 100, 300, ... up to and including `most`."""
    steps = [step * 10**power for power in range(1, 7) for step in (1, 3)]
    return [*(step for step in steps if step < most), most]


def label_curve(label: str, split: Split, targets: Targets, most: int, draws: int, seed: int) -> list[Point]:
    """Return the scores of ridge regressions with increasing numbers of labels.

    Args:
        label: Label of the encoder.
        split: Features of the encoder.
        targets: Parameters to predict; class labels are ignored.
        most: Largest number of labels, the same as for the probes in the table.
        draws: Number of random samples of `most` lenses. For fewer labels, there are as many samples as possible
            without common lenses, but at least `draws` and at most `MOST_DRAWS`.
        seed: Random seed of the samples.
    """
    numbers = Targets(tuple(parameter for parameter in targets.parameters if not parameter.classes))
    if not numbers.parameters:
        return []
    points, lenses = [], len(np.unique(split.train.lens))
    # There may be fewer stored lenses than `most`: all larger sizes would give the same point.
    most = len(draw_lenses(split.train, most, draws, seed)[0])
    for size in sizes(most):
        count = draws if size == most else min(max(lenses // size, draws), MOST_DRAWS)
        chosen = draw_lenses(split.train, size, count, seed)
        (prediction,) = predict_draws(RIDGE, split.train, chosen, numbers, [split.test.features], seed)
        predicted = numbers.read(prediction)
        for parameter in numbers.parameters:
            values = predicted[parameter.name]
            if np.isfinite(values).all():
                scores = [score(split.test.values[parameter.name], each, resamples=1, ranks=False) for each in values]
                r2, mae = zip(*((each.r2.value, each.mae.value) for each in scores), strict=True)
                points.append(Point(label, parameter.name, len(chosen[0]), r2, mae))
    return points


def of_parameter(points: Sequence[Point], parameter: str) -> dict[str, list[Point]]:
    """Return the curves of a parameter by encoder."""
    labels = dict.fromkeys(point.label for point in points)
    return {label: [p for p in points if (p.label, p.parameter) == (label, parameter)] for label in labels}
