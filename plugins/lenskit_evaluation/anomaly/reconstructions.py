"""Reconstructions of images: their errors, and the few that are shown.

The errors are those of DeepLense (Alexander et al. 2020, arXiv:2008.12731).
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lenskit_evaluation.anomaly.scored import Shown, Truth

EACH = 3
"""Images of each class that are shown."""

CLASSES = 4
"""Classes of anomalies that are shown, at most."""


def errors(images: Tensor, reconstructions: Tensor) -> dict[str, Tensor]:
    """What is published of reconstructions.

    Args:
        images: (n, C, H, W), as the network is given them.
        reconstructions: What it makes of them, the same shape.

    Returns:
        `MSE` and `W1`, (n,) float64 each.
    """
    return {"MSE": mean_squared_error(images, reconstructions), "W1": wasserstein(images, reconstructions)}


def mean_squared_error(images: Tensor, reconstructions: Tensor) -> Tensor:
    """The mean over all pixels of the squared residual: (n,) float64."""
    return (images.double() - reconstructions.double()).square().flatten(1).mean(1)


def wasserstein(images: Tensor, reconstructions: Tensor) -> Tensor:
    """The first Wasserstein distance of an image from its reconstruction as DeepLense publishes it.

    Each image is summed over its rows, and the sums of its columns are taken for a sample of numbers of equal weight,
    whichever column they are of. Two such samples of one size are as far apart as their sorted values are on average
    (Ramdas et al. 2017, https://doi.org/10.3390/e19020047, section 4). The sums of all channels are one sample.

    Args:
        images: (n, C, H, W).
        reconstructions: The same shape.

    Returns:
        (n,) float64, what `scipy.stats.wasserstein_distance` says of the sums.
    """
    columns, made = (each.double().sum(-2).flatten(1).sort(1).values for each in (images, reconstructions))
    return (columns - made).abs().mean(1)


class Gallery:
    """Collects the first images of each class, or of the first few, normal ones first, while all are scored.

    Args:
        truth: What the images are.
    """

    def __init__(self, truth: Truth) -> None:
        there = [name for name in (truth.normal, *truth.anomalies[:CLASSES]) if truth.is_class(name).any()]
        first = [np.flatnonzero(truth.is_class(name))[:EACH] for name in there]
        self.rows = np.concatenate(first)
        self.classes = [name for name, rows in zip(there, first, strict=True) for _ in rows]
        self._images: dict[str, dict[int, NDArray[np.float32]]] = defaultdict(dict)
        self._made: dict[str, dict[int, NDArray[np.float32]]] = defaultdict(dict)

    def add(self, label: str, start: int, images: Tensor, reconstructions: Tensor) -> None:
        """Keeps those of some images in a row that are shown.

        Args:
            label: The detector.
            start: Which image the first of these is.
            images: (n, C, H, W), as the detector sees them.
            reconstructions: The same shape.
        """
        for row in self.rows[(self.rows >= start) & (self.rows < start + len(images))]:
            self._images[label][row] = images[row - start].float().cpu().numpy()
            self._made[label][row] = reconstructions[row - start].float().cpu().numpy()

    def shown(self) -> Shown | None:
        """What was collected; nothing if no detector reconstructs."""
        if not self._images:
            return None
        images, made = (
            {label: np.stack([each[row] for row in self.rows]) for label, each in kept.items()}
            for kept in (self._images, self._made)
        )
        return Shown(self.classes, images, made)
