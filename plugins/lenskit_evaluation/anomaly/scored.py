"""Records of options, true classes, scores and reconstructions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Options:
    """Options that choose images and detectors; see `Anomaly` for their meaning."""

    data: str | None
    reference: str | None
    label: str | None
    normal: str | None
    lenses: int
    train_lenses: int
    neighbours: int
    baselines: bool
    batch_size: int
    seed: int
    simulator: str | None
    set: list[str]


@dataclass(frozen=True)
class Truth:
    """True classes of n images.

    Attributes:
        classes: Names of the classes.
        label: (n,) class number of each image.
        normal: Name of the normal class.
        names: n names of the images; if empty, images are numbered.
        parameter: Name of the class label.
        origin: Description of the source of the images; empty for embeddings.
    """

    classes: tuple[str, ...]
    label: NDArray[np.int64]
    normal: str
    names: Sequence[str] = ()
    parameter: str = ""
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def anomalies(self) -> tuple[str, ...]:
        """Names of the classes that have images, without the normal class."""
        there = set(np.unique(self.label).tolist())
        return tuple(c for i, c in enumerate(self.classes) if c != self.normal and i in there)

    def is_class(self, name: str) -> NDArray[np.bool_]:
        """Return a mask (n,) of the images of a class."""
        return self.label == self.classes.index(name)


@dataclass(frozen=True)
class Scored:
    """Scores of n images by one detector.

    Attributes:
        scores: (n,), higher is stranger.
        kind: Description of the score: `reconstruction error`, `distance in features`, ...
        errors: Further values (n,) of each image by name. For detectors that reconstruct, these include `MSE` and the
            `W1` of DeepLense. A method may add values, such as failed fits.
        images_per_second: Speed of the scoring; None if it was not measured.
        run: Label of the run that the detector belongs to; empty if it belongs to no run.
        training_lenses: Number of training lenses that the detector was fitted to; None if it was not fitted.
    """

    scores: NDArray[np.float64]
    kind: str
    errors: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    images_per_second: float | None = None
    run: str = ""
    training_lenses: int | None = None


@dataclass(frozen=True)
class Shown:
    """Some images of each class and their reconstructions.

    Attributes:
        classes: Class of each of m images.
        images: Preprocessed images (m, C, H, W) by the label of the detector.
        reconstructions: Reconstructions (m, C, H, W) by the label of the detector.
    """

    classes: Sequence[str]
    images: Mapping[str, NDArray[np.floating]]
    reconstructions: Mapping[str, NDArray[np.floating]]
