"""Probes that are fitted to several draws of labelled lenses, and judged on others."""

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
"""Part of all labelled lenses that a draw takes at most, where they are few: draws of all of them would not differ."""


@dataclass(frozen=True)
class Row:
    """What one kind of probe gets from one encoder.

    Attributes:
        label: Name of the encoder, or of the control.
        probe: `ridge`, `kNN`, `MLP`, or `-` where there is none.
        scores: For each parameter by name, how good it is; of a class label, how well it is told.
        labels: Labelled lenses that each probe was fitted to.
        draws: How many probes there are, each fitted to another draw of lenses.
        judged: Which lenses it is judged on, if not those of the split: a subset, or such of another prior.
        features: Number of features.
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
    """What is read off features: a column for each number, and for a class label one a class, 1 for its members.

    A class is told by the largest of its columns, whatever probe predicts them.

    Attributes:
        parameters: What is read off, those that are numbers first.
    """

    parameters: tuple[Parameter, ...]

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [f"{p.name} {c}".strip() for p in self.parameters for c in (p.classes or ("",))]

    def labels(self, rows: Rows) -> Array:
        """Values (n, columns), NaN where not known."""
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
        """Columns (..., columns) to the values (...) of each parameter; of a class label, its number."""
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
    """What can be read off the lenses of a split, and what is to be said of their labels, in lines.

    Args:
        split: The lenses.
        where: What they are, for messages.

    Raises:
        LenskitError: if there is nothing to read off.
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
                f"{parameter.name} is left out: it is known of {counts[0]} of {len(train)} images to fit to and of "
                f"{counts[1]} of {len(test)} to judge on"
            )
            continue
        kept.append(parameter)
        if missing:
            notes.append(f"{parameter.name} is not known of {missing} of {len(train) + len(test)} images: left out")
        if np.nanmin(test) == np.nanmax(test):
            notes.append(f"{parameter.name} is {np.nanmin(test):g} for all lenses judged on: it has no R2")
    if not kept:
        raise LenskitError(f"{where} has no labels to probe: {'; '.join(notes)}")
    return Targets(tuple(kept)), notes


def draw_lenses(rows: Rows, size: int, count: int, seed: int) -> list[NDArray[np.intp]]:
    """Some draws of labelled lenses, each of one image of as many lenses.

    They have no lens in common if there are enough; otherwise each is a random part of all, at most `SPARED` of them.

    Args:
        rows: All there are.
        size: Lenses a draw, at most.
        count: Number of draws.
        seed: Seed of the draws.

    Returns:
        Numbers of the rows of each draw, ascending.

    Raises:
        LenskitError: if there are too few lenses to draw any.
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
    """Fits a probe to each draw, and predicts.

    Args:
        probe: Which, of `PROBES`; `-` predicts the mean of the draw.
        train: What is drawn from.
        draws: Rows of each.
        targets: What is predicted.
        features: Features (n, d) of some sets of images.
        seed: Seed of the networks; each draw has its own.

    Returns:
        For each set, predictions (draws, n, columns). NaN where a column is known of fewer than two lenses of a draw.
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
    """How good predictions are, for each parameter by name.

    Args:
        targets: What was predicted.
        test: The images.
        prediction: (draws, n, columns), as `predict_draws` gives them.
        seed: Seed of the bootstrap.
    """
    predicted = targets.read(prediction)
    scores: dict[str, Score | BalancedAccuracy] = {}
    for parameter in targets.parameters:
        truth, values = known_values(test.values[parameter.name], parameter), predicted[parameter.name]
        if not np.isfinite(values).all():
            nothing, note = Estimate(np.nan), "known of fewer than two lenses of a draw"
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
    """R2 of a number, balanced accuracy of a class label; NaN for what is not there."""
    result = scores.get(name)
    if result is None:
        return Estimate(np.nan)
    return result.accuracy if isinstance(result, BalancedAccuracy) else result.r2
