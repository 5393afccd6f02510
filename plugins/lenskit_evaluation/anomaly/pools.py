"""Images whose classes are known before one of them is made or read: those judged on, and those trained on."""

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
"""Rows of embeddings at a time."""


class Origin(NamedTuple):
    """Which lenses a simulator draws, whatever its options: one of the same number is the same but for these."""

    simulator: str
    seed: int
    split: str

    def __str__(self) -> str:
        return f"simulator {self.simulator}, seed {self.seed}, split {self.split}"


@dataclass(frozen=True)
class Pool:
    """Lenses, an image each, and their class label.

    Attributes:
        lenses: The lenses; of embedded ones features stand in for the images.
        parameter: The class label; none if there is none.
        origin: Which simulated lenses they are; none if that is not known.
        path: File or folder of stored lenses.
    """

    lenses: LensTable
    parameter: Parameter | None
    origin: Origin | None = None
    path: Path | None = None

    @classmethod
    def drawn(cls, simulator: Simulator, origin: Origin, count: int, parameter: Parameter | None) -> Pool:
        """Return the first lenses that a simulator draws."""
        lenses = SimulatedLenses(simulator, seed=origin.seed, split=origin.split, index=count)
        return cls(lenses.to(best_device()), parameter, origin)

    @classmethod
    def stored(cls, dataset: Dataset, path: Path, index: NDArray[np.int64], parameter: Parameter | None) -> Pool:
        """Return lenses of a dataset by their numbers."""
        return cls(StoredLenses(dataset, index), parameter, _origin_of(dataset.configuration or {}), path)

    @classmethod
    def embedded(cls, embeddings: Embeddings, parameter: Parameter | None) -> Pool:
        """Return the rows of embeddings."""
        return cls(EmbeddedLenses(embeddings), parameter)

    def __len__(self) -> int:
        return len(self.lenses)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Pool:
        """Return some of them."""
        return replace(self, lenses=self.lenses.select(rows))

    def images(self, batch_size: int) -> Iterator[Tensor]:
        """Yield their images (up to `batch_size`, C, H, W), raw, or features (up to `batch_size`, d), on any device."""
        return (read.images for read in self.lenses.chunks(batch_size))

    def is_of(self, other: Pool) -> bool:
        """Whether both are stored in the same data: an option of the reader may say which images a file has."""
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
        """The number of each one's class (n,), NaN where it is not known."""
        if self.parameter is None:
            return np.full(len(self), np.nan)
        return known_values(self.lenses.values()[self.parameter.name], self.parameter)

    @property
    def classes(self) -> NDArray[np.str_]:
        """The name of each one's class (n,), empty where it is not known."""
        names = self.parameter.classes if self.parameter else ()
        return np.array([*names, ""])[np.where(np.isnan(self.labels), -1, self.labels).astype(int)]


class EmbeddedLenses(LensTable):
    """Rows of embeddings, whose features stand in for images.

    Args:
        embeddings: The features. Those of large files stay on disk.
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
    """Which simulated lenses stored ones are, if they say so."""
    drawn = configuration.get("simulate", {})
    if "simulator" not in configuration or not {"seed", "split"} <= drawn.keys():
        return None
    return Origin(configuration["simulator"]["name"], drawn["seed"], drawn["split"])


def is_numbered(parameter: Parameter) -> bool:
    """Whether its classes are but numbered, such as models of a PSF: none of them is an anomaly of the others."""
    return all(name.isdecimal() for name in parameter.classes)


def class_label(
    parameters: Sequence[Parameter], name: str | None, normal: str | None, pixels: int | None = None
) -> Parameter:
    """The class label of that name, or the only one whose classes have names.

    Args:
        parameters: What is recorded of the images.
        name: Its name, if one is named.
        normal: The class that is no anomaly, if one is named: classes that are plain numbers are meant, too, then.
        pixels: How large images are to be, for a hint; none of embeddings.

    Raises:
        UsageError: if there is no such, or none, or there are several.
    """
    labels = {parameter.name: parameter for parameter in parameters if parameter.classes}
    if name is not None and name not in labels:
        there = f"there are {', '.join(labels)}" if labels else "there is none"
        raise UsageError(f"there is no class label {name!r}{near(name, [*labels])}; {there}")
    if name is not None:
        return labels[name]
    meant = [label for label in labels.values() if not is_numbered(label) or normal in label.classes]
    if not meant:
        problem, remedy = "no class is recorded of these images", ""
        if labels:
            problem = f"the classes of {' and '.join(labels)} are plain numbers, and no anomalies"
            remedy = "; or, if one of these numbers is what is normal, say so with --label and --normal"
        such = f"--simulator deeplense-a --set pixels={pixels}" if pixels else "`lenskit embed RUN --data FOLDER`"
        raise UsageError(
            f"{problem}: anomalies are judged on images whose classes are known, such as those of {such}{remedy}"
        )
    if len(meant) > 1:
        raise UsageError(f"there are several class labels, {', '.join(p.name for p in meant)}: say which with --label")
    return meant[0]
