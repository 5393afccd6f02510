"""Metrics of predicted parameters and class labels, with bootstrap intervals."""

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
    """Metrics of the predictions of one parameter.

    Attributes:
        n: Number of images with a known label.
        dropped: Number of images left out because their label is not known.
        r2: Coefficient of determination: 1 - sum of squared errors / sum of squared deviations from the mean.
        mae: Mean absolute error, in the parameter's unit.
        rmse: Root mean squared error, in the parameter's unit.
        bias: Mean of prediction - truth, in the parameter's unit.
        spearman: Spearman's rank correlation.
        note: Reason why a metric is not defined; empty if all metrics are defined.
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
    """Balanced accuracy of the predictions of one class label.

    Attributes:
        n: Number of images with a known label.
        dropped: Number of images left out because their label is not known.
        accuracy: Balanced accuracy: the share of correct predictions in each class, averaged over the classes that
            occur.
        chance: Balanced accuracy of random guesses: one over the number of classes that occur.
        note: Reason why the accuracy is not defined; empty if it is defined.
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
    """Compute the metrics of the predictions of one parameter.

    Intervals are percentiles over bootstrap resamples (Efron 1979, https://doi.org/10.1214/aos/1176344552) of images,
    or of lenses if several images show the same lens. Intervals measure the scatter between random sets of test images,
    with the same encoder and probe. A single lens has no interval. For several fits, each metric is the mean over the
    fits, the interval is that of the mean, and the spread is the standard deviation over the fits.

    Args:
        truth: (n,) true values; images whose value is NaN are left out and counted.
        prediction: (n,), or (fits, n) for several fits; finite.
        lenses: (n,) number or name of the lens that each image shows; by default every image shows a different lens.
        resamples: Number of bootstrap resamples.
        level: Confidence level of the intervals.
        seed: Random seed of the bootstrap.
        ranks: Whether to compute the interval of the rank correlation, which takes most of the time.

    Raises:
        LenskitError: A prediction is not finite.
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
    values = np.stack([resampled_figures(true, each, np.ones((n, 1)))[:, 0] for each in predicted])
    resampled = np.concatenate(
        [np.mean([resampled_figures(true, each, counts, ranks) for each in predicted], axis=0)
         for counts in resample(lens, resamples, seed)], axis=1,
    )  # fmt: skip
    estimates = [estimate(*each, level) for each in zip(values.T, resampled, strict=True)]
    return Score(n, dropped, *estimates, note=_note(true, predicted))


def balanced_accuracy(
    truth: ArrayLike, prediction: ArrayLike, *,
    lenses: ArrayLike | None = None, resamples: int = 1000, level: float = 0.95, seed: int = 0,
) -> BalancedAccuracy:  # fmt: skip
    """Compute the balanced accuracy of the predictions of one class label.

    The interval and the spread are defined as in `score`.

    Args:
        truth: (n,) numbers of the true classes; images whose value is NaN are left out and counted.
        prediction: (n,) numbers of the predicted classes, or (fits, n) for several fits.
        lenses: (n,) number or name of the lens that each image shows; by default every image shows a different lens.
        resamples: Number of bootstrap resamples.
        level: Confidence level of the interval.
        seed: Random seed of the bootstrap.
    """
    true, predicted = np.asarray(truth, np.float64), np.atleast_2d(np.asarray(prediction, np.float64))
    finite = np.isfinite(true)
    n, dropped = int(finite.sum()), int((~finite).sum())
    classes, number = np.unique(true[finite], return_inverse=True)
    if len(classes) < 2:
        note = f"all labels are {classes[0]:g}: no accuracy" if n else "no label is known"
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


def resampled_figures(truth: Array, prediction: Array, counts: Array, ranks: bool = True) -> Array:
    """Return R2, MAE, RMSE, bias and rank correlation for each resample.

    Args:
        truth: (n,).
        prediction: (n,).
        counts: (n, resamples) count of each image in each resample.
        ranks: Whether to compute the rank correlation; otherwise it is NaN.

    Returns:
        (5, resamples); NaN if not defined.
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
    """Return the centred ranks of images in each resample (n, resamples).

    A centred rank is the rank minus the mean rank. Equal values share the mean of their ranks.
    """
    order = np.argsort(values)
    smaller, not_greater = (np.searchsorted(values[order], values, side=side) for side in ("left", "right"))
    below = np.zeros((len(counts) + 1, counts.shape[1]))
    np.cumsum(counts[order], axis=0, out=below[1:])
    return (below[smaller] + below[not_greater] - below[-1]) / 2


def _note(truth: Array, prediction: Array) -> str:
    """Return the reason why R2 or the rank correlation is not defined, or ""."""
    if len(truth) == 1:
        return "one image: no R2 and no rank correlation"
    if np.ptp(truth) == 0:
        return f"all labels are {truth[0]:g}: no R2 and no rank correlation"
    if (np.ptp(prediction, axis=1) == 0).any():
        return f"all predictions are {prediction.flat[0]:g}: no rank correlation"
    return ""


def with_units(parameters: Sequence[Parameter]) -> tuple[dict[str, str], str]:
    """Return row labels and a column suffix that show units in a table of parameters.

    The table has a row for each parameter. If all parameters have the same unit, the unit is in the column names,
    otherwise in the row labels.

    Returns:
        Row label of each parameter by name, and a suffix for the names of columns in the unit of the parameter.
    """
    units = {p.name: f" [{p.unit}]" if p.unit else "" for p in parameters}
    if len(set(units.values())) == 1:
        return {name: name for name in units}, next(iter(units.values()))
    return {name: name + unit for name, unit in units.items()}, ""
