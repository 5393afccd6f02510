"""Prediction of each parameter from features by the best of several probes.

A linear probe may miss information. Therefore a ridge regression, a nearest-neighbour regression and a small network
are fitted to a part of the training lenses, and compared on the remaining training lenses. The best probe of a
parameter is fitted again to all training lenses and evaluated on the test lenses. The test lenses do not influence the
choice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lenskit.evaluation import Array, Rows, known_values
from lenskit.plugin import LenskitError, Parameter
from lenskit_evaluation.regression import fit_linear_probe, fit_neighbor_probe, fit_network_probe, split_lenses

log = logging.getLogger("lenskit")

FEWEST = 20
"""Minimum number of training images, and of test images, with a known value of a parameter."""

APART = 0.25
"""Share of the training lenses on which probes are compared."""


@dataclass(frozen=True)
class Reading:
    """Predictions of a parameter for the test images.

    Attributes:
        truth: True values (n,), NaN if unknown; class numbers for a class label.
        prediction: Predicted values (n,) or class numbers.
        classes: Number of classes, 0 for a continuous parameter.
        probe: Name of the best probe.
    """

    truth: Array
    prediction: Array
    classes: int
    probe: str

    def skill(self, weights: Array | None = None) -> Array:
        """Return the skill, 1 for perfect predictions and 0 for the best constant."""
        return skill(self.truth, self.prediction, self.classes, weights)


def read_off(train: Rows, test: Rows, parameters: Sequence[Parameter], seed: int = 0) -> dict[str, Reading]:
    """Predict each parameter from features with the best probe.

    Args:
        train: Features and values of the training images.
        test: Features and values of the test images.
        parameters: Parameters to predict. For a class label, probes predict one number per class, and the largest
            number defines the predicted class. A value that is not the number of a class counts as unknown.
        seed: Random seed of the split of the training lenses, and of the network.

    Returns:
        Predictions by parameter. A parameter that does not vary, or has fewer than `FEWEST` known values, is left out
        with a warning.

    Raises:
        LenskitError: Features are not finite.
    """
    if not (np.isfinite(train.features).all() and np.isfinite(test.features).all()):
        raise LenskitError("some features are not finite: the encoder is broken, or some pixels are not finite")
    train, test = (
        replace(side, values={**side.values, **{p.name: known_values(side.values[p.name], p) for p in parameters}})
        for side in (train, test)
    )
    together: dict[bytes, list[Parameter]] = {}
    for parameter in parameters:
        usable, judged = (np.isfinite(side.values[parameter.name]) for side in (train, test))
        if min(usable.sum(), judged.sum()) < FEWEST:
            log.warning(
                "%s is known for %d training and %d test images, fewer than %d: left out",
                parameter.name, usable.sum(), judged.sum(), FEWEST,
            )  # fmt: skip
        elif not all(np.ptp(s.values[parameter.name][k]) > 0 for s, k in ((train, usable), (test, judged))):
            log.warning("%s is the same in all lenses: left out", parameter.name)
        else:
            together.setdefault(usable.tobytes(), []).append(parameter)
    readings: dict[str, Reading] = {}
    for group in together.values():
        usable = np.isfinite(train.values[group[0].name])
        readings |= _read_together(train.take(usable), test, group, seed)
    return {parameter.name: readings[parameter.name] for parameter in parameters if parameter.name in readings}


def skill(truth: ArrayLike, prediction: ArrayLike, classes: int = 0, weights: Array | None = None) -> Array:
    """Return R2 of a continuous parameter, or Cohen's kappa of a class label.

    Both are 1 for perfect predictions and 0 for the best constant.

    Args:
        truth: True values (n,), NaN if unknown.
        prediction: Predicted values (n,).
        classes: Number of classes, 0 for a continuous parameter.
        weights: (n, resamples), number of times that an image is in a resample; by default, one resample that contains
            each image once.

    Returns:
        (resamples,), NaN if the skill is not defined.
    """
    true, predicted = np.asarray(truth, np.float64), np.asarray(prediction, np.float64)
    finite = np.isfinite(true)
    true, predicted = true[finite], predicted[finite]
    weights = np.ones((len(true), 1)) if weights is None else weights[finite]
    total = weights.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        if classes:
            numbers = np.arange(classes)
            # Agreement by chance (Cohen 1960, https://doi.org/10.1177/001316446002000104).
            shares = [(side[:, None] == numbers).T.astype(float) @ weights / total for side in (true, predicted)]
            chance = (shares[0] * shares[1]).sum(0)
            agreed = (true == predicted).astype(float) @ weights / total
            return np.where(chance < 1 - 1e-12, (agreed - chance) / (1 - chance), np.nan)
        deviation = true - true.mean()
        mean, square, error = np.stack([deviation, deviation**2, (predicted - true) ** 2]) @ weights / total
        variance = square - mean**2
        return np.where(variance > 1e-12 * square, 1 - error / variance, np.nan)


def _read_together(train: Rows, test: Rows, parameters: Sequence[Parameter], seed: int) -> dict[str, Reading]:
    """Predict parameters that are known for the same training images."""
    targets = [_target(train.values[p.name], p) for p in parameters]
    width = np.cumsum([0, *(target.shape[1] for target in targets)])
    y = np.concatenate(targets, axis=1)
    y = (y - y.mean(0)) / np.where(y.std(0) > 0, y.std(0), 1)
    x, x_test = train.features, test.features
    fit, apart = split_lenses(train.lens, APART, seed)

    def read(number: int, predicted: Array, truth: Array) -> Array:
        """Convert a probe's outputs to values of parameter `number`, in its unit."""
        part = predicted[:, width[number] : width[number + 1]]
        if parameters[number].classes:
            scale = np.where(targets[number].std(0) > 0, targets[number].std(0), 1)
            return (part * scale + targets[number].mean(0)).argmax(1).astype(np.float64)
        return part[:, 0] * truth.std() + truth.mean()

    best: list[tuple[float, str]] = [(-np.inf, "ridge")] * len(parameters)
    names = [""] * y.shape[1]
    for name, probe in PROBES.items():
        predicted = probe(x[fit], y[fit], names, seed).predict(x[apart])
        for number, parameter in enumerate(parameters):
            values = train.values[parameter.name]
            value = skill(values[apart], read(number, predicted, values), len(parameter.classes))[0]
            if value > best[number][0]:
                best[number] = (float(value), name)
    chosen = dict.fromkeys(name for _, name in best)
    final = {name: PROBES[name](x, y, names, seed).predict(x_test) for name in chosen}
    return {
        p.name: Reading(
            test.values[p.name], read(number, final[best[number][1]], train.values[p.name]), len(p.classes),
            best[number][1],
        )
        for number, p in enumerate(parameters)
    }  # fmt: skip


def _target(values: Array, parameter: Parameter) -> Array:
    """Return the target of a probe: values (n, 1), or one-hot classes (n, classes)."""
    if not parameter.classes:
        return values[:, None]
    return (values[:, None] == np.arange(len(parameter.classes))).astype(np.float64)


PROBES: dict[str, Callable[[Array, Array, list[str], int], Any]] = {
    "ridge": lambda x, y, names, seed: fit_linear_probe(x, y, names),
    "kNN": lambda x, y, names, seed: fit_neighbor_probe(x, y, names),
    "MLP": lambda x, y, names, seed: fit_network_probe(x, y, names, seed),
}
"""Functions by name that fit a probe from features (n, d) to numbers (n, k), and return the probe."""
