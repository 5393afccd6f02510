"""Reconstruction errors, and a gallery of reconstructions.

The errors are defined as in DeepLense (Alexander et al. 2020, https://arxiv.org/abs/2008.12731).
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lenskit_evaluation.anomaly.scored import Shown, Truth

EACH = 3
"""Images per class in the gallery."""

CLASSES = 4
"""Maximum number of classes of anomalies in the gallery."""


def errors(images: Tensor, reconstructions: Tensor) -> dict[str, Tensor]:
    """Return the reconstruction errors that DeepLense publishes.

    Args:
        images: Preprocessed images (n, C, H, W).
        reconstructions: Reconstructions of the same shape.

    Returns:
        `MSE` and `W1`, (n,) float64 each.
    """
    return {"MSE": mean_squared_error(images, reconstructions), "W1": wasserstein(images, reconstructions)}


def mean_squared_error(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Return the mean squared residual over all pixels and channels, (n,) float64."""
    return (images.double() - reconstructions.double()).square().flatten(1).mean(1)


def wasserstein(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Return the first Wasserstein distance of images from reconstructions.

    DeepLense defines it as follows. Each image is summed over its rows. The column sums of all channels are a sample of
    numbers with equal weights; their order does not matter. The distance between two samples of equal size is the mean
    absolute difference of the sorted values (Ramdas et al. 2017, https://doi.org/10.3390/e19020047, section 4).

    Args:
        images: (n, C, H, W).
        reconstructions: The same shape.

    Returns:
        (n,) float64, equal to `scipy.stats.wasserstein_distance` of the column sums.
    """
    columns, made = (each.double().sum(-2).flatten(1).sort(1).values for each in (images, reconstructions))
    return (columns - made).abs().mean(1)


class Gallery:
    """Collector of the first images of some classes and of their reconstructions.

    The classes are the normal class and up to `CLASSES` classes of anomalies, with up to `EACH` images each.

    Args:
        truth: True classes of the images.
    """

    def __init__(self, truth: Truth) -> None:
        there = [name for name in (truth.normal, *truth.anomalies[:CLASSES]) if truth.is_class(name).any()]
        first = [np.flatnonzero(truth.is_class(name))[:EACH] for name in there]
        self.rows = np.concatenate(first)
        self.classes = [name for name, rows in zip(there, first, strict=True) for _ in rows]
        self._images: dict[str, dict[int, NDArray[np.float32]]] = defaultdict(dict)
        self._made: dict[str, dict[int, NDArray[np.float32]]] = defaultdict(dict)

    def add(self, label: str, start: int, images: Tensor, reconstructions: Tensor) -> None:
        """Keep the images of a batch that belong to the gallery.

        Args:
            label: Label of the detector.
            start: Number of the batch's first image.
            images: Preprocessed images (n, C, H, W).
            reconstructions: The same shape.
        """
        for row in self.rows[(self.rows >= start) & (self.rows < start + len(images))]:
            self._images[label][row] = images[row - start].float().cpu().numpy()
            self._made[label][row] = reconstructions[row - start].float().cpu().numpy()

    def shown(self) -> Shown | None:
        """Return the collected images; None if no detector reconstructs."""
        if not self._images:
            return None
        images, made = (
            {label: np.stack([each[row] for row in self.rows]) for label, each in kept.items()}
            for kept in (self._images, self._made)
        )
        return Shown(self.classes, images, made)
