"""What can be read off features at all: each parameter by the probe that does best at it.

Information that a linear probe does not find may be there still. So a ridge regression, one on nearest neighbours and a
small network are tried on lenses of the side that is fitted to; the best of them for a parameter is fitted again to all
of that side, and judged. None is chosen on the lenses that are judged on.
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
"""Images that a parameter must be known of to be read off."""

APART = 0.25
"""Share of the lenses fitted to on which probes are compared."""


@dataclass(frozen=True)
class Reading:
    """What is read off the features of the lenses judged on.

    Attributes:
        truth: (n,), NaN where not known; for a class, its number.
        prediction: (n,), likewise.
        classes: Number of classes, 0 for a continuous parameter.
        probe: Which did best.
    """

    truth: Array
    prediction: Array
    classes: int
    probe: str

    def skill(self, weights: Array | None = None) -> Array:
        """How good it is: 1 for the truth, 0 for no better than knowing nothing; see `skill`."""
        return skill(self.truth, self.prediction, self.classes, weights)


def read_off(train: Rows, test: Rows, parameters: Sequence[Parameter], seed: int = 0) -> dict[str, Reading]:
    """Reads parameters off features.

    Args:
        train: What is fitted to.
        test: What is judged on.
        parameters: What is read, classes too: a class is read as numbers that say whether an image is of it, of which
            the largest wins. A number that no class has is not known.
        seed: Seed of what is set apart, and of the network.

    Returns:
        For each parameter by name, what was read. One that does not vary, or is known of too few, is left out, and
        logged.

    Raises:
        LenskitError: if features are not finite.
    """
    if not (np.isfinite(train.features).all() and np.isfinite(test.features).all()):
        raise LenskitError("some features are not finite: the encoder is broken, or was given such images")
    train, test = (
        replace(side, values={**side.values, **{p.name: known_values(side.values[p.name], p) for p in parameters}})
        for side in (train, test)
    )
    together: dict[bytes, list[Parameter]] = {}
    for parameter in parameters:
        usable, judged = (np.isfinite(side.values[parameter.name]) for side in (train, test))
        if min(usable.sum(), judged.sum()) < FEWEST:
            log.warning("%s is known of %d and %d lenses: left out", parameter.name, usable.sum(), judged.sum())
        elif not all(np.ptp(s.values[parameter.name][k]) > 0 for s, k in ((train, usable), (test, judged))):
            log.warning("%s is the same in all lenses, so it cannot be read off: left out", parameter.name)
        else:
            together.setdefault(usable.tobytes(), []).append(parameter)
    readings: dict[str, Reading] = {}
    for group in together.values():
        usable = np.isfinite(train.values[group[0].name])
        readings |= _read_together(train.take(usable), test, group, seed)
    return {parameter.name: readings[parameter.name] for parameter in parameters if parameter.name in readings}


def skill(truth: ArrayLike, prediction: ArrayLike, classes: int = 0, weights: Array | None = None) -> Array:
    """R2 of a continuous parameter, Cohen's kappa of a class: both are 1 for the truth, and 0 for the best constant.

    Args:
        truth: (n,), NaN where not known.
        prediction: (n,).
        classes: Number of classes, 0 for a continuous parameter.
        weights: (n, resamples), how often each image counts; by default once.

    Returns:
        (resamples,), NaN where not defined.
    """
    true, predicted = np.asarray(truth, np.float64), np.asarray(prediction, np.float64)
    finite = np.isfinite(true)
    true, predicted = true[finite], predicted[finite]
    weights = np.ones((len(true), 1)) if weights is None else weights[finite]
    total = weights.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        if classes:
            numbers = np.arange(classes)
            # What agrees by chance (Cohen 1960, https://doi.org/10.1177/001316446002000104).
            shares = [(side[:, None] == numbers).T.astype(float) @ weights / total for side in (true, predicted)]
            chance = (shares[0] * shares[1]).sum(0)
            agreed = (true == predicted).astype(float) @ weights / total
            return np.where(chance < 1 - 1e-12, (agreed - chance) / (1 - chance), np.nan)
        deviation = true - true.mean()
        mean, square, error = np.stack([deviation, deviation**2, (predicted - true) ** 2]) @ weights / total
        variance = square - mean**2
        return np.where(variance > 1e-12 * square, 1 - error / variance, np.nan)


def _read_together(train: Rows, test: Rows, parameters: Sequence[Parameter], seed: int) -> dict[str, Reading]:
    """Reads parameters that are known of the same lenses."""
    targets = [_target(train.values[p.name], p) for p in parameters]
    width = np.cumsum([0, *(target.shape[1] for target in targets)])
    y = np.concatenate(targets, axis=1)
    y = (y - y.mean(0)) / np.where(y.std(0) > 0, y.std(0), 1)
    x, x_test = train.features, test.features
    fit, apart = split_lenses(train.lens, APART, seed)

    def read(number: int, predicted: Array, truth: Array) -> Array:
        """Parameter `number` in its own unit, out of what a probe says."""
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
    """What a probe is fitted to: the values (n, 1), or for a class whether an image is of each (n, classes)."""
    if not parameter.classes:
        return values[:, None]
    return (values[:, None] == np.arange(len(parameter.classes))).astype(np.float64)


PROBES: dict[str, Callable[[Array, Array, list[str], int], Any]] = {
    "ridge": lambda x, y, names, seed: fit_linear_probe(x, y, names),
    "kNN": lambda x, y, names, seed: fit_neighbor_probe(x, y, names),
    "MLP": lambda x, y, names, seed: fit_network_probe(x, y, names, seed),
}
"""By name, what fits features (n, d) to numbers (n, k), and returns what predicts these."""
