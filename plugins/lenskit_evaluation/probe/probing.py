"""Probes fitted to several random samples of labelled lenses, and their scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenskit.evaluation import Array, Rows, Split, known_values
from lenskit.plugin import LenskitError, Parameter
from lenskit_evaluation.bootstrap import Estimate
from lenskit_evaluation.metrics import BalancedAccuracy, Score, balanced_accuracy, score
from lenskit_evaluation.regression import fit_linear_probe, fit_neighbor_probe, fit_network_probe

RIDGE, NEIGHBORS, NETWORK, NONE = "ridge", "kNN", "MLP", "-"
PROBES = (RIDGE, NEIGHBORS, NETWORK)

SPARED = 0.8
"""Maximum share of the labelled lenses in a random sample, if samples overlap; larger samples would hardly differ."""


@dataclass(frozen=True)
class Row:
    """Scores of one kind of probe on the features of one encoder.

    Attributes:
        label: Label of the encoder or the control.
        probe: `ridge`, `kNN`, `MLP`, or `-` for a constant.
        scores: Scores by parameter.
        labels: Number of labelled lenses in each random sample.
        draws: Number of random samples; a probe is fitted to each.
        judged: Description of the test lenses if they are a subset or have a shifted prior; empty for all test lenses.
        features: Number of features; 0 for a constant.
    """

    label: str
    probe: str
    scores: dict[str, Score | BalancedAccuracy]
    labels: int
    draws: int
    judged: str = ""
    features: int = 0


@dataclass(frozen=True)
class Targets:
    """Parameters to predict, encoded as columns of numbers.

    A continuous parameter has one column. A class label has one column per class (one-hot encoding). The column with
    the largest value defines the predicted class.

    Attributes:
        parameters: The parameters, continuous parameters before class labels.
    """

    parameters: tuple[Parameter, ...]

    @property
    def names(self) -> list[str]:
        """Names of the parameters, in the order of the columns of a table of scores."""
        return [f"{p.name} {c}".strip() for p in self.parameters for c in (p.classes or ("",))]

    def labels(self, rows: Rows) -> Array:
        """Return the columns (n, columns) of lenses, NaN for unknown values."""
        columns: list[Array] = []
        for parameter in self.parameters:
            values = known_values(rows.values[parameter.name], parameter)
            if parameter.classes:
                unknown = np.where(np.isfinite(values), 0, np.nan)
                columns += [(values == number) + unknown for number in range(len(parameter.classes))]
            else:
                columns.append(values)
        return np.stack(columns, axis=1)

    def read(self, prediction: Array) -> dict[str, Array]:
        """Decode columns (..., columns) into values (...) by parameter.

        The value of a class label is the number of the predicted class.
        """
        values, start = {}, 0
        for parameter in self.parameters:
            columns = prediction[..., start : start + max(len(parameter.classes), 1)]
            start += columns.shape[-1]
            if parameter.classes:
                number = np.nan_to_num(columns, nan=-np.inf).argmax(-1)
                values[parameter.name] = np.where(np.isfinite(columns).all(-1), number, np.nan)
            else:
                values[parameter.name] = columns[..., 0]
        return values


def targets_of(split: Split, where: str) -> tuple[Targets, list[str]]:
    """Return the parameters that can be probed, and notes on incomplete labels.

    Args:
        split: The lenses.
        where: Name of the lenses, for messages.

    Raises:
        LenskitError: No parameter can be probed.
    """
    wanted = [*split.continuous, *split.classes]
    if not wanted:
        raise LenskitError(f"{where} has no labels: there is nothing to probe")
    kept, notes = [], []
    for parameter in wanted:
        train, test = (known_values(rows.values[parameter.name], parameter) for rows in (split.train, split.test))
        counts = np.isfinite(train).sum(), np.isfinite(test).sum()
        missing = len(train) + len(test) - sum(counts)
        if counts[0] < 2 or counts[1] < 1:
            notes.append(
                f"{parameter.name} is left out: it is known for {counts[0]} of {len(train)} training images and "
                f"{counts[1]} of {len(test)} test images, but a probe needs at least 2 and 1"
            )
            continue
        kept.append(parameter)
        if missing:
            notes.append(
                f"{parameter.name} is not known for {missing} of {len(train) + len(test)} images, which are left out"
            )
        if np.nanmin(test) == np.nanmax(test):
            notes.append(f"{parameter.name} is {np.nanmin(test):g} for all test lenses: it has no R2")
    if not kept:
        raise LenskitError(f"{where} has no labels to probe: {'; '.join(notes)}")
    return Targets(tuple(kept)), notes


def draw_lenses(rows: Rows, size: int, count: int, seed: int) -> list[NDArray[np.intp]]:
    """Choose random samples of labelled lenses, with one image of each lens.

    The samples have no lens in common if there are enough lenses. Otherwise each sample is a random part of all lenses,
    at most the share `SPARED`.

    Args:
        rows: All labelled lenses.
        size: Maximum number of lenses in a sample.
        count: Number of samples.
        seed: Random seed.

    Returns:
        Row numbers of each sample, ascending.

    Raises:
        LenskitError: A sample would have fewer than two lenses.
    """
    rng = np.random.default_rng(seed)
    first = np.unique(rows.lens, return_index=True)[1]
    if size * count <= len(first):
        order = rng.permutation(first)
        return [np.sort(order[start : start + size]) for start in range(0, size * count, size)]
    size = min(size, int(SPARED * len(first)) if count > 1 else len(first))
    if size < 2:
        raise LenskitError(f"{len(first)} labelled lenses are too few to fit a probe to")
    return [np.sort(rng.permutation(first)[:size]) for _ in range(count)]


def predict_draws(
    probe: str,
    train: Rows,
    draws: Sequence[NDArray[np.intp]],
    targets: Targets,
    features: Sequence[Array],
    seed: int,
) -> list[Array]:
    """Fit a probe to each random sample of lenses, and predict for several image sets.

    Args:
        probe: One of `PROBES`, or `-` to predict the mean label of the sample.
        train: Labelled lenses.
        draws: Row numbers of each sample.
        targets: Parameters to predict.
        features: Features (n, d) of each set of images.
        seed: Random seed of the networks; sample number i uses seed + i.

    Returns:
        Predictions (samples, n, columns) for each set of images. A column is NaN if it is known for fewer than two
        lenses of the sample.
    """
    labels = targets.labels(train)
    predictions = [np.full((len(draws), len(x), labels.shape[1]), np.nan) for x in features]
    for number, rows in enumerate(draws):
        usable = np.isfinite(labels[rows]).sum(0) >= 2
        names = [name for name, enough in zip(targets.names, usable, strict=True) if enough]
        if not names:
            continue
        x, y = train.features[rows], labels[np.ix_(rows, usable)]
        if probe == NONE:
            for prediction in predictions:
                prediction[number][:, usable] = np.nanmean(y, axis=0)
            continue
        fits: dict[str, Callable[..., Any]] = {
            RIDGE: fit_linear_probe,
            NEIGHBORS: fit_neighbor_probe,
            NETWORK: partial(fit_network_probe, seed=seed + number),
        }
        fitted = fits[probe](x, y, names)
        for prediction, images in zip(predictions, features, strict=True):
            prediction[number][:, usable] = fitted.predict(images)
    return predictions


def judge(targets: Targets, test: Rows, prediction: Array, seed: int) -> dict[str, Score | BalancedAccuracy]:
    """Return the scores of predictions by parameter.

    Args:
        targets: Predicted parameters.
        test: Test images.
        prediction: (samples, n, columns), from `predict_draws`.
        seed: Random seed of the bootstrap.
    """
    predicted = targets.read(prediction)
    scores: dict[str, Score | BalancedAccuracy] = {}
    for parameter in targets.parameters:
        truth, values = known_values(test.values[parameter.name], parameter), predicted[parameter.name]
        if not np.isfinite(values).all():
            nothing, note = Estimate(np.nan), "known for fewer than two lenses of a random sample"
            n = int(np.isfinite(truth).sum())
            scores[parameter.name] = (
                BalancedAccuracy(n, len(truth) - n, nothing, np.nan, note=note)
                if parameter.classes
                else Score(n, len(truth) - n, *[nothing] * 5, note=note)
            )
        elif parameter.classes:
            scores[parameter.name] = balanced_accuracy(truth, values, lenses=test.lens, seed=seed)
        else:
            scores[parameter.name] = score(truth, values, lenses=test.lens, seed=seed, ranks=False)
    return scores


def main_figure(scores: Mapping[str, Score | BalancedAccuracy], name: str) -> Estimate:
    """Return R2 of a continuous parameter, or balanced accuracy of a class label.

    The result is NaN if there is no score.
    """
    result = scores.get(name)
    if result is None:
        return Estimate(np.nan)
    return result.accuracy if isinstance(result, BalancedAccuracy) else result.r2
