"""What is scored and how, the scores of a detector of anomalies, and the true classes of the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Options:
    """What is scored, and by which distances; see `Anomaly`, which has the defaults."""

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
    """What n images really are.

    Attributes:
        classes: Names of the classes.
        label: (n,) number of each image's class.
        normal: Name of the class that is no anomaly.
        names: n names of the images; without, they are numbered.
        parameter: Name of the class label.
        origin: Where the images come from, if they are no embeddings.
    """

    classes: tuple[str, ...]
    label: NDArray[np.int64]
    normal: str
    names: Sequence[str] = ()
    parameter: str = ""
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def anomalies(self) -> tuple[str, ...]:
        """The other classes of which there are images."""
        there = set(np.unique(self.label).tolist())
        return tuple(c for i, c in enumerate(self.classes) if c != self.normal and i in there)

    def is_class(self, name: str) -> NDArray[np.bool_]:
        """(n,) whether an image is of that class."""
        return self.label == self.classes.index(name)


@dataclass(frozen=True)
class Scored:
    """What one detector says of n images.

    Attributes:
        scores: (n,), higher is stranger; ranked as they are.
        kind: What the score is, in words: `reconstruction error`, `distance to neighbours`, ...
        errors: Figures of each image (n,) by name: `MSE`, and `W1` as DeepLense has it, of detectors that reconstruct;
            and those of the method, such as failed fits.
        images_per_second: How fast it scored them, where it was measured.
        run: Label of the run whose detector it is; empty for one that belongs to none.
        training_lenses: Lenses of the training that it was fitted to; none for one that was not.
    """

    scores: NDArray[np.float64]
    kind: str
    errors: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    images_per_second: float | None = None
    run: str = ""
    training_lenses: int | None = None


@dataclass(frozen=True)
class Shown:
    """Some images of each class, and what detectors that reconstruct make of them.

    Attributes:
        classes: Class of each of m images.
        images: (m, C, H, W) by the label of the detector, as it sees them.
        reconstructions: (m, C, H, W) by the same labels.
    """

    classes: Sequence[str]
    images: Mapping[str, NDArray[np.floating]]
    reconstructions: Mapping[str, NDArray[np.floating]]
