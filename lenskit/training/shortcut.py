"""Shortcut control: whether images without the source predict lens parameters.

If they do, a network trained on these simulations can ignore the arcs. Real lenses may not have the same correlation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lenskit.kinds.simulator import Simulator
from lenskit.training.ridge import predicted, r2

SOURCE = "source"
"""Group of parameters whose light the control leaves out."""

LIMIT = 0.05
"""A parameter is reported if the lower end of the confidence interval of R2 is above this threshold."""

RINGS = 9
"""Number of rings around the centre of the image whose brightness is measured."""

FOLDS, RESAMPLED = 4, 200
"""Number of folds of the cross-validation, and number of bootstrap samples."""


@dataclass(frozen=True)
class Reading:
    """Accuracy with which a parameter is predicted from images without a source.

    Attributes:
        r2: R2 on images that were not used in the fit.
        low: Lower end of the 95 % confidence interval of R2.
    """

    r2: float
    low: float


def read_without_source(images: Tensor, values: Mapping[str, NDArray[np.float64]]) -> dict[str, Reading]:
    """Predict parameters from the brightness in rings of images without a source.

    The predictor is a ridge regression on the rings' medians, their squares and products, with four-fold
    cross-validation. The confidence interval is a bootstrap over the images. These features measure the brightness,
    size and steepness of a light profile.

    Args:
        images: Preprocessed images, (n, C, H, W).
        values: Values (n,) of each parameter. A parameter is left out if it does not vary or is unknown for an image.

    Returns:
        One reading for each remaining parameter. Empty if a feature is not finite or there are fewer than 8 images.
    """
    from sklearn.model_selection import KFold

    x = ring_features(images).double().numpy()
    names = [name for name, value in values.items() if np.isfinite(value).all() and np.ptp(value) > 0]
    if not names or not np.isfinite(x).all() or len(x) < 2 * FOLDS:
        return {}
    y = np.stack([values[name] for name in names], axis=1)
    predictions = np.empty_like(y)
    for fit, judge in KFold(FOLDS).split(x):
        predictions[judge] = predicted(x[fit], y[fit], x[judge])
    rng = np.random.default_rng(0)
    drawn = [r2(y[rows], predictions[rows]) for rows in rng.integers(len(y), size=(RESAMPLED, len(y)))]
    low = np.percentile(drawn, 2.5, axis=0)
    return {name: Reading(*map(float, scores)) for name, *scores in zip(names, r2(y, predictions), low, strict=True)}


def ring_features(images: Tensor) -> Tensor:
    """Return the median brightness in rings, with its squares and products.

    The rings have equal logarithmic width. Brightness is standardised over the images.

    Args:
        images: (n, C, H, W).

    Returns:
        (n, features).
    """
    height, width = images.shape[-2:]
    y, x = torch.meshgrid(*(torch.arange(size) - (size - 1) / 2 for size in (height, width)), indexing="ij")
    radius, reach = torch.hypot(x, y), min(height, width) / 2
    edges = [0.0, *np.geomspace(min(1.5, reach), reach, RINGS)]
    rings = [(low <= radius) & (radius < high) for low, high in pairwise(edges)]
    brightness = torch.stack([images[..., ring].median(-1).values for ring in rings if ring.any()], dim=-1)
    brightness = (brightness - brightness.mean(0)) / brightness.std(0).clamp(min=1e-12)
    first, second = torch.triu_indices(brightness.shape[-1], brightness.shape[-1])
    return torch.cat([brightness, brightness[..., first] * brightness[..., second]], dim=-1).flatten(1)


def shortcuts(simulator: Simulator, readings: Mapping[str, Reading]) -> Sequence[tuple[str, bool]]:
    """Describe the parameters that can be predicted from images without a source.

    Args:
        simulator: Simulator of the images.
        readings: Reading of each parameter, from images without a source.

    Returns:
        For each parameter with `low` above `LIMIT`, a line, and whether the line is a warning. It is not a warning if
        the simulator states that nature has this correlation.
    """
    lines = []
    for name, reading in readings.items():
        if not isfinite(reading.low) or reading.low <= LIMIT:
            continue
        evidence = f"images without a source predict {name} (R2 {reading.r2:.2f}, at least {reading.low:.2f})"
        if name in simulator.natural_correlations:
            lines.append((f"{evidence}, as in nature: {simulator.natural_correlations[name]}", False))
        else:
            remedy = simulator.shortcut_remedies.get(name, f"sample all other light independently of {name}")
            lines.append((f"shortcut: {evidence}, but real lenses may not have this correlation; {remedy}", True))
    return lines
