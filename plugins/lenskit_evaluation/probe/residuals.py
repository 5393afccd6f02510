"""Errors of predictions in bins of properties of the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lenskit.evaluation import Array, Rows

BINS = 6
"""Number of bins, with equal numbers of lenses."""

ROUND = 0.3
"""Largest ellipticity of nearly round lenses; few real lenses have a larger one."""

ELLIPTICITY, MAGNIFICATION, SIGNAL = "|e|", "magnification", "arc S/N"


@dataclass(frozen=True)
class Binned:
    """Errors of a parameter in bins of a second quantity.

    Attributes:
        parameter: Name of the parameter.
        against: Name of the binned quantity.
        low: Lower edge of each bin.
        high: Upper edge of each bin.
        n: Number of lenses in each bin.
        mae: Mean absolute error in each bin, in the parameter's unit.
        mae_error: Half of the 95 % interval of `mae`, from the scatter within the bin.
        bias: Mean of prediction - truth in each bin.
        bias_error: Half of the 95 % interval of `bias`.
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
    """Compute quantities that errors may depend on, from recorded parameters.

    The quantities are the ellipticity |(e1, e2)|, the magnification of the source, and the signal-to-noise ratio of the
    brightest pixel of the arc. White noise is recorded relative to the maximum of the image. This maximum is
    approximated by the maximum of the arc or of the lens light, whichever is brighter. Where arc and lens light
    overlap, the true maximum may be up to twice as large.

    Args:
        values: Values (n,) of the recorded parameters by name.

    Returns:
        Values (n,) by the name of the quantity, and the reason for each missing quantity by name.
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
    """Return the errors of parameters in bins of all quantities from `covariates`.

    Args:
        test: Test lenses.
        predicted: Predictions (samples, n) by parameter.
        parameters: Names of the parameters.
        bins: Number of bins, with equal numbers of lenses.
    """
    results = []
    for name in parameters:
        error = predicted[name] - test.values[name]
        for against, value in covariates(test.values)[0].items():
            usable = np.isfinite(value) & np.isfinite(error).all(0)
            if usable.sum() < 2 * bins or np.ptp(value[usable]) == 0:
                continue
            groups = np.array_split(np.flatnonzero(usable)[np.argsort(value[usable], kind="stable")], bins)
            # One error per lens (the mean over the fits), because errors of a lens in several fits are correlated.
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
    """Return a mask (n,) of nearly round lenses; None without recorded ellipticities."""
    ellipticity = covariates(rows.values)[0].get(ELLIPTICITY)
    return None if ellipticity is None else ellipticity < ROUND


def _mean(values: Array) -> tuple[float, float]:
    """Return the mean and half of the 95 % interval of the mean."""
    return float(values.mean()), float(1.96 * values.std(ddof=1) / len(values) ** 0.5)
