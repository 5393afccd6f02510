"""The few images that are shown beside what detectors make of them."""

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
