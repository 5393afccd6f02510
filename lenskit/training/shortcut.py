"""The shortcut control: whether a simulator gives a parameter away by light that is not lensed.

A network that is trained on such simulations need not look at arcs, and real lenses need not follow the simulator.
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
"""R2 above which a parameter counts as given away."""

RINGS = 9
"""Rings about the middle whose brightness is looked at."""

FOLDS, RESAMPLED = 4, 200


@dataclass(frozen=True)
class Reading:
    """How well a parameter is predicted from images without a source.

    Attributes:
        r2: R2 on images that the prediction was not fitted to.
        low: Lower end of its 95 % interval.
    """

    r2: float
    low: float


def read_without_source(images: Tensor, values: Mapping[str, NDArray[np.float64]]) -> dict[str, Reading]:
    """Predict parameters from the brightness of images without a source in rings.

    A ridge regression on the rings' medians, their squares and products, with four-fold cross-validation; the interval
    is a bootstrap over the images. It finds what a light profile tells: brightness, size, steepness.

    Args:
        images: (n, C, H, W) as a network sees them.
        values: (n,) of each parameter. Those that do not vary, or are not known of all images, are left out.
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
    """Median brightness of each channel in rings of equal logarithmic width, with squares and products.

    Args:
        images: (n, C, H, W).

    Returns:
        (n, features), of standardised brightness.
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
    """Say what a simulator gives away.

    Args:
        simulator: What made the images.
        readings: How well each parameter is predicted from images without a source.

    Returns:
        For each parameter that is, by the lower end of the interval, a line and whether it is a warning: it is none
        where the simulator states that nature has this correlation.
    """
    lines = []
    for name, reading in readings.items():
        if not isfinite(reading.low) or reading.low <= LIMIT:
            continue
        evidence = f"images without a source tell {name} (R2 {reading.r2:.2f}, at least {reading.low:.2f})"
        if name in simulator.natural_correlations:
            lines.append((f"{evidence}, as in nature: {simulator.natural_correlations[name]}", False))
        else:
            remedy = simulator.shortcut_remedies.get(name, "draw the other light independently of it")
            lines.append((f"shortcut: {evidence}, which real lenses need not follow; {remedy}", True))
    return lines
