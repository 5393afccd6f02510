"""How good predictions are, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenskit.plugin import LenskitError, Parameter
from lenskit_evaluation.bootstrap import Estimate, estimate, resample

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """What is to be said of the predictions of one parameter.

    Attributes:
        n: Images judged.
        dropped: Images left out because the truth is not known.
        r2: Coefficient of determination: 1 - sum of squared errors / sum of squared deviations from the mean.
        mae: Mean absolute error, in the parameter's unit.
        rmse: Root of the mean squared error, in the parameter's unit.
        bias: Mean of prediction - truth, in the parameter's unit.
        spearman: Rank correlation.
        note: Why something is not defined, empty if all is.
    """

    n: int
    dropped: int
    r2: Estimate
    mae: Estimate
    rmse: Estimate
    bias: Estimate
    spearman: Estimate
    note: str = field(default="", kw_only=True)


@dataclass(frozen=True)
class BalancedAccuracy:
    """How well one class label is predicted.

    Attributes:
        n: Images judged.
        dropped: Images left out because the truth is not known.
        accuracy: Balanced accuracy: the share of each class that is recognised, averaged over the classes there are.
        chance: What guessing gets: one over the number of those classes.
        note: Why something is not defined, empty if all is.
    """

    n: int
    dropped: int
    accuracy: Estimate
    chance: float
    note: str = field(default="", kw_only=True)


def score(
    truth: ArrayLike, prediction: ArrayLike, *,
    lenses: ArrayLike | None = None, resamples: int = 1000, level: float = 0.95, seed: int = 0, ranks: bool = True,
) -> Score:  # fmt: skip
    """Judges the predictions of one parameter.

    Intervals are percentiles of bootstrap resamples (Efron 1979, https://doi.org/10.1214/aos/1176344552): of images, or
    of whole lenses if there are several images of one. They say how the figure would scatter if other test images were
    drawn, with the same encoder and probe; a single lens has none. Of several fits every figure is the mean over them,
    its interval is that of the mean, and its spread is the standard deviation over them.

    Args:
        truth: (n,), NaN where not known; such images are left out and counted.
        prediction: (n,) or, of several fits, (fits, n); finite.
        lenses: (n,) number or name of the lens that each image shows, if several show the same.
        resamples: Number of bootstrap resamples.
        level: Probability that the intervals contain.
        seed: Seed of the bootstrap.
        ranks: Whether the rank correlation has an interval, which takes most of the time.

    Raises:
        LenskitError: if a prediction is not finite.
    """
    true, predicted = np.asarray(truth, np.float64), np.atleast_2d(np.asarray(prediction, np.float64))
    if not np.isfinite(predicted).all():
        raise LenskitError(f"{np.sum(~np.isfinite(predicted))} of {predicted.size} predictions are not finite")
    finite = np.isfinite(true)
    n, dropped = int(finite.sum()), int((~finite).sum())
    if n == 0:
        nothing = Estimate(np.nan)
        return Score(0, dropped, *[nothing] * 5, note="no label is known")
    true, predicted = true[finite], predicted[:, finite]
    lens = np.arange(n) if lenses is None else np.asarray(lenses)[finite]
    values = np.stack([_figures(true, each, np.ones((n, 1)))[:, 0] for each in predicted])
    resampled = np.concatenate(
        [np.mean([_figures(true, each, counts, ranks) for each in predicted], axis=0)
         for counts in resample(lens, resamples, seed)], axis=1,
    )  # fmt: skip
    estimates = [estimate(*each, level) for each in zip(values.T, resampled, strict=True)]
    return Score(n, dropped, *estimates, note=_note(true, predicted))


def balanced_accuracy(
    truth: ArrayLike, prediction: ArrayLike, *,
    lenses: ArrayLike | None = None, resamples: int = 1000, level: float = 0.95, seed: int = 0,
) -> BalancedAccuracy:  # fmt: skip
    """Judges the predictions of one class label, with intervals and spread as `score`.

    Args:
        truth: (n,) numbers of classes, NaN where not known; such images are left out and counted.
        prediction: (n,) numbers of classes or, of several fits, (fits, n).
        lenses: (n,) number or name of the lens that each image shows, if several show the same.
        resamples: Number of bootstrap resamples.
        level: Probability that the intervals contain.
        seed: Seed of the bootstrap.
    """
    true, predicted = np.asarray(truth, np.float64), np.atleast_2d(np.asarray(prediction, np.float64))
    finite = np.isfinite(true)
    n, dropped = int(finite.sum()), int((~finite).sum())
    classes, number = np.unique(true[finite], return_inverse=True)
    if len(classes) < 2:
        note = f"all labels are {classes[0]:g}: nothing to tell apart" if n else "no label is known"
        return BalancedAccuracy(n, dropped, Estimate(np.nan), np.nan, note=note)
    lens = np.arange(n) if lenses is None else np.asarray(lenses)[finite]
    member = (number == np.arange(len(classes))[:, None]).astype(np.float64)
    right = (predicted[:, finite] == true[finite]).astype(np.float64)

    def accuracy(counts: Array) -> Array:
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = np.stack([(member * hit) @ counts for hit in right]) / (member @ counts)
        return np.nanmean(shares, axis=1)

    values = accuracy(np.ones((n, 1)))[:, 0]
    resampled = np.concatenate([accuracy(counts).mean(0) for counts in resample(lens, resamples, seed)])
    return BalancedAccuracy(n, dropped, estimate(values, resampled, level), 1 / len(classes))


def _figures(truth: Array, prediction: Array, counts: Array, ranks: bool = True) -> Array:
    """R2, mean absolute, root mean squared and mean error, and rank correlation.

    Args:
        truth: (n,).
        prediction: (n,).
        counts: How often each image is in each resample, (n, resamples).
        ranks: Whether the rank correlation is wanted; it is NaN otherwise.

    Returns:
        (5, resamples), NaN where not defined.
    """
    error, deviation = prediction - truth, truth - truth.mean()
    total, *sums = np.stack([np.ones_like(error), error**2, np.abs(error), error, deviation, deviation**2]) @ counts
    squared, absolute, bias, mean, square = (each / total for each in sums)
    variance = square - mean**2
    spearman = np.full_like(variance, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        r2 = np.where(variance > 1e-12 * square, 1 - squared / variance, np.nan)
        if ranks:
            a, b = (_centred_ranks(values, counts) for values in (truth, prediction))
            spread = np.einsum("ib,ib->b", counts * a, a) * np.einsum("ib,ib->b", counts * b, b)
            spearman = np.where(spread > 0, np.einsum("ib,ib->b", counts * a, b) / np.sqrt(spread), np.nan)
    return np.stack([r2, absolute, np.sqrt(squared), bias, spearman])


def _centred_ranks(values: Array, counts: Array) -> Array:
    """Ranks of images in each resample minus their mean, the mean rank for ties: (n, resamples)."""
    order = np.argsort(values)
    smaller, not_greater = (np.searchsorted(values[order], values, side=side) for side in ("left", "right"))
    below = np.zeros((len(counts) + 1, counts.shape[1]))
    np.cumsum(counts[order], axis=0, out=below[1:])
    return (below[smaller] + below[not_greater] - below[-1]) / 2


def _note(truth: Array, prediction: Array) -> str:
    """Why R2 or the rank correlation is not defined."""
    if len(truth) == 1:
        return "one image: no R2 and no rank correlation"
    if np.ptp(truth) == 0:
        return f"all labels are {truth[0]:g}: no R2 and no rank correlation"
    if (np.ptp(prediction, axis=1) == 0).any():
        return f"all predictions are {prediction.flat[0]:g}: no rank correlation"
    return ""


def with_units(parameters: Sequence[Parameter]) -> tuple[dict[str, str], str]:
    """Places of the units in a table with a row for each parameter.

    Returns:
        Text for the cells that name the parameters, by their names, and text that follows the names of columns in the
        parameters' unit. The columns have the unit if it is the same for all, else the cells have.
    """
    units = {p.name: f" [{p.unit}]" if p.unit else "" for p in parameters}
    if len(set(units.values())) == 1:
        return {name: name for name in units}, next(iter(units.values()))
    return {name: name + unit for name, unit in units.items()}, ""
