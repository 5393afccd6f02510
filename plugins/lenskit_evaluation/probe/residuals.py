"""How errors depend on what an image is like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lenskit.evaluation import Array, Rows

BINS = 6
"""Bins with equally many lenses."""

ROUND = 0.3
"""Lenses below this ellipticity are judged apart: real ones are rarely above."""

ELLIPTICITY, MAGNIFICATION, SIGNAL = "|e|", "magnification", "arc S/N"


@dataclass(frozen=True)
class Binned:
    """Errors of a parameter in bins of something else.

    Attributes:
        parameter: Name of the parameter.
        against: What the bins are of.
        low: Lower edge of each bin.
        high: Upper edge.
        n: Lenses in each.
        mae: Mean absolute error, in the parameter's unit.
        mae_error: Half of its 95 % interval, from the scatter within the bin.
        bias: Mean of prediction - truth.
        bias_error: Half of its 95 % interval.
    """

    parameter: str
    against: str
    low: tuple[float, ...]
    high: tuple[float, ...]
    n: tuple[int, ...]
    mae: tuple[float, ...]
    mae_error: tuple[float, ...]
    bias: tuple[float, ...]
    bias_error: tuple[float, ...]


def covariates(values: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, str]]:
    """What errors may depend on, from what is recorded of the lenses.

    The ellipticity is the modulus of (e1, e2). The arc's signal-to-noise ratio is that of its brightest pixel: white
    noise is recorded relative to the image's maximum, which is that of the arc or of the lens light, whichever is
    brighter (where they overlap it is their sum, twice as much at most).

    Args:
        values: Values (n,) of the recorded parameters by name.

    Returns:
        Values (n,) by name, and for each that cannot be had, why.
    """
    computed, missing = {}, {}
    needs = {
        ELLIPTICITY: ("e1", "e2"),
        MAGNIFICATION: ("source_magnification",),
        SIGNAL: ("log_light_to_arc", "log_noise"),
    }
    for name, parameters in needs.items():
        absent = [parameter for parameter in parameters if parameter not in values]
        if absent:
            missing[name] = f"{', '.join(absent)} is not recorded" if len(absent) == 1 else (
                f"{' and '.join(absent)} are not recorded")  # fmt: skip
            continue
        first, *more = (values[parameter] for parameter in parameters)
        if name == ELLIPTICITY:
            computed[name] = np.hypot(first, more[0])
        elif name == MAGNIFICATION:
            computed[name] = first
        else:
            computed[name] = 10 ** -(np.maximum(first, 0) + more[0])
    return computed, missing


def binned(test: Rows, predicted: Mapping[str, Array], parameters: Sequence[str], bins: int = BINS) -> list[Binned]:
    """Errors of some parameters in bins of all that they may depend on.

    Args:
        test: The lenses judged on.
        predicted: Predictions (draws, n) of each parameter by name.
        parameters: Which.
        bins: Number of bins, with equally many lenses.
    """
    results = []
    for name in parameters:
        error = predicted[name] - test.values[name]
        for against, value in covariates(test.values)[0].items():
            usable = np.isfinite(value) & np.isfinite(error).all(0)
            if usable.sum() < 2 * bins or np.ptp(value[usable]) == 0:
                continue
            groups = np.array_split(np.flatnonzero(usable)[np.argsort(value[usable], kind="stable")], bins)
            # One error a lens: the mean over the fits, of which each lens has all.
            absolute, signed = np.abs(error).mean(0), error.mean(0)
            results.append(
                Binned(
                    name, against,
                    tuple(float(value[rows].min()) for rows in groups),
                    tuple(float(value[rows].max()) for rows in groups),
                    tuple(len(rows) for rows in groups),
                    *(tuple(column) for column in zip(*(
                        (*_mean(absolute[rows]), *_mean(signed[rows])) for rows in groups), strict=True)),
                )
            )  # fmt: skip
    return results


def is_round(rows: Rows) -> NDArray[np.bool_] | None:
    """Which lenses are nearly round, (n,), if that is known."""
    ellipticity = covariates(rows.values)[0].get(ELLIPTICITY)
    return None if ellipticity is None else ellipticity < ROUND


def _mean(values: Array) -> tuple[float, float]:
    """The mean, and half of its 95 % interval."""
    return float(values.mean()), float(1.96 * values.std(ddof=1) / len(values) ** 0.5)
