"""Pools of lenses whose classes are known before images are simulated or read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lenskit.evaluation import (
    Array,
    Embeddings,
    Lenses,
    LensTable,
    SimulatedLenses,
    StoredLenses,
    best_device,
    known_values,
)
from lenskit.plugin import Dataset, Parameter, Simulator, UsageError, near

CHUNK = 256
"""Number of rows of embeddings in a chunk."""


class Origin(NamedTuple):
    """Identity of a sequence of simulated lenses.

    If two sequences have the same origin, lenses with the same number differ only by the options of the simulator.
    """

    simulator: str
    seed: int
    split: str

    def __str__(self) -> str:
        return f"simulator {self.simulator}, seed {self.seed}, split {self.split}"


@dataclass(frozen=True)
class Pool:
    """Lenses with one image each, and their class label.

    Attributes:
        lenses: The lenses. Embeddings have features instead of images.
        parameter: The class label; None without a class label.
        origin: Origin of simulated lenses; None if it is not known.
        path: File or folder of stored lenses.
    """

    lenses: LensTable
    parameter: Parameter | None
    origin: Origin | None = None
    path: Path | None = None

    @classmethod
    def drawn(cls, simulator: Simulator, origin: Origin, count: int, parameter: Parameter | None) -> Pool:
        """Return the first `count` lenses of a simulator, without making images."""
        lenses = SimulatedLenses(simulator, seed=origin.seed, split=origin.split, index=count)
        return cls(lenses.to(best_device()), parameter, origin)

    @classmethod
    def stored(cls, dataset: Dataset, path: Path, index: NDArray[np.int64], parameter: Parameter | None) -> Pool:
        """Return the lenses of a dataset with the numbers `index`."""
        return cls(StoredLenses(dataset, index), parameter, _origin_of(dataset.configuration or {}), path)

    @classmethod
    def embedded(cls, embeddings: Embeddings, parameter: Parameter | None) -> Pool:
        """Return the rows of embeddings."""
        return cls(EmbeddedLenses(embeddings), parameter)

    def __len__(self) -> int:
        return len(self.lenses)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Pool:
        """Return the lenses of these rows."""
        return replace(self, lenses=self.lenses.select(rows))

    def images(self, batch_size: int) -> Iterator[Tensor]:
        """Yield batches of raw images or features, on any device.

        The shape is (n, C, H, W) for images and (n, d) for features, with n up to `batch_size`.
        """
        return (read.images for read in self.lenses.chunks(batch_size))

    def is_of(self, other: Pool) -> bool:
        """Whether both pools are stored at the same path and begin with the same image."""
        # The path is not enough: an option of the reader may select the images of a file.
        if not (self.path and other.path) or self.path.resolve() != other.path.resolve():
            return False
        one, another = (
            StoredLenses(pool.lenses.dataset).read([0]).images
            for pool in (self, other)
            if isinstance(pool.lenses, StoredLenses)
        )
        return torch.equal(one, another)

    @cached_property
    def labels(self) -> Array:
        """Class number (n,) of each lens, NaN if it is not known."""
        if self.parameter is None:
            return np.full(len(self), np.nan)
        return known_values(self.lenses.values()[self.parameter.name], self.parameter)

    @property
    def classes(self) -> NDArray[np.str_]:
        """Class name (n,) of each lens, empty if it is not known."""
        names = self.parameter.classes if self.parameter else ()
        return np.array([*names, ""])[np.where(np.isnan(self.labels), -1, self.labels).astype(int)]


class EmbeddedLenses(LensTable):
    """Rows of embeddings, with features instead of images.

    Args:
        embeddings: The embeddings. Features of large files stay on disk.
    """

    def __init__(self, embeddings: Embeddings) -> None:
        self.embeddings, self.parameters = embeddings, embeddings.parameters
        self.index = np.arange(len(embeddings))

    def names_of(self, numbers: Iterable[int]) -> list[str]:
        return [self.embeddings.names[int(number)] for number in numbers]

    def values(self) -> dict[str, Array]:
        return {name: value[self.index] for name, value in self.embeddings.values.items()}

    def chunks(self, size: int = CHUNK) -> Iterator[Lenses]:
        for start in range(0, len(self), size):
            rows = self.index[start : start + size]
            lens, view = (torch.from_numpy(each[rows]) for each in (self.embeddings.lens, self.embeddings.view))
            features = torch.from_numpy(np.asarray(self.embeddings.features[rows], np.float32))
            yield Lenses(features, {}, lens, view)


def _origin_of(configuration: Mapping[str, Any]) -> Origin | None:
    """Return the origin of stored simulated lenses; None if it is not recorded."""
    drawn = configuration.get("simulate", {})
    if "simulator" not in configuration or not {"seed", "split"} <= drawn.keys():
        return None
    return Origin(configuration["simulator"]["name"], drawn["seed"], drawn["split"])


def is_numbered(parameter: Parameter) -> bool:
    """Whether all class names are plain numbers, such as the numbers of PSF models.

    Such classes do not separate anomalies from normal images.
    """
    return all(name.isdecimal() for name in parameter.classes)


def class_label(
    parameters: Sequence[Parameter], name: str | None, normal: str | None, pixels: int | None = None
) -> Parameter:
    """Return the class label with a name, or the only suitable class label.

    Without a name, this is the only label whose classes are not plain numbers.

    Args:
        parameters: Parameters recorded with the images.
        name: Name of the class label; None if the user did not choose a class label.
        normal: Name of the normal class; None if the user did not choose it. A label with this class is suitable even
            if the class names are plain numbers.
        pixels: Side of the images in pixels, for a hint in the message; None for embeddings.

    Raises:
        UsageError: There is no label with this name, or there is not exactly one suitable class label.
    """
    labels = {parameter.name: parameter for parameter in parameters if parameter.classes}
    if name is not None and name not in labels:
        there = f"there are {', '.join(labels)}" if labels else "the images have no class label"
        raise UsageError(f"there is no class label {name!r}{near(name, [*labels])}; {there}")
    if name is not None:
        return labels[name]
    meant = [label for label in labels.values() if not is_numbered(label) or normal in label.classes]
    if not meant:
        problem, remedy = "these images have no class label", ""
        if labels:
            problem = f"the classes of {' and '.join(labels)} are plain numbers, not named anomalies"
            remedy = "; if one of these numbers is the normal class, pass --label NAME --normal NUMBER"
        such = f"--simulator deeplense-a --set pixels={pixels}" if pixels else "`lenskit embed RUN --data FOLDER`"
        raise UsageError(f"{problem}: use images with named classes, for example from {such}{remedy}")
    if len(meant) > 1:
        raise UsageError(
            f"there are several class labels, {', '.join(p.name for p in meant)}: choose one with --label NAME"
        )
    return meant[0]
