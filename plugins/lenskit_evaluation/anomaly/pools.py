"""Images whose classes are known before one of them is made or read: those judged on, and those trained on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lenskit.plugin import Dataset, Embeddings, Parameter, Simulator, UsageError, check_complete, near, read_lenses
from lenskit_evaluation.splits import Array, known_values

CHUNK = 256
"""Lenses whose classes are drawn at a time."""


class Origin(NamedTuple):
    """Which lenses a simulator draws, whatever its options: one of the same number is the same but for these."""

    simulator: str
    seed: int
    split: str

    def __str__(self) -> str:
        return f"simulator {self.simulator}, seed {self.seed}, split {self.split}"


class Pool(ABC):
    """Lenses, an image each.

    Attributes:
        origin: Which simulated lenses they are of; none if that is not known.
        index: (n,) their numbers.
        parameter: The class label; none if there is none.
    """

    origin: Origin | None
    index: NDArray[np.int64]
    parameter: Parameter | None

    def __len__(self) -> int:
        return len(self.index)

    @abstractmethod
    def _values(self, label: str) -> Array:
        """(n,) what is recorded of them."""

    @abstractmethod
    def names(self) -> list[str]:
        """Their names."""

    @abstractmethod
    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Pool:
        """Some of them."""

    @abstractmethod
    def images(self, batch_size: int) -> Iterator[Tensor]:
        """Their images (up to `batch_size`, C, H, W), raw, on whatever device."""

    @cached_property
    def labels(self) -> Array:
        """(n,) the number of each one's class, NaN where it is not known."""
        if self.parameter is None:
            return np.full(len(self), np.nan)
        return known_values(self._values(self.parameter.name), self.parameter)

    @property
    def classes(self) -> NDArray[np.str_]:
        """(n,) the name of each one's class, empty where it is not known."""
        names = self.parameter.classes if self.parameter else ()
        return np.array([*names, ""])[np.where(np.isnan(self.labels), -1, self.labels).astype(int)]


class Drawn(Pool):
    """Lenses that a simulator draws.

    Args:
        simulator: What draws and renders them.
        origin: Its name, their seed, and the part of the data that they are of.
        index: (n,) their numbers.
        parameter: The class label.
    """

    origin: Origin

    def __init__(
        self, simulator: Simulator, origin: Origin, index: NDArray[np.int64], parameter: Parameter | None
    ) -> None:
        self.simulator, self.origin, self.index, self.parameter = simulator, origin, index, parameter
        simulator.to(self.device)

    @property
    def device(self) -> torch.device:
        """Where they are made."""
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @torch.no_grad()
    def _values(self, label: str) -> Array:
        parts = [self._scene(start, CHUNK)[label] for start in range(0, len(self), CHUNK)]
        return torch.cat(parts).double().cpu().numpy()

    def names(self) -> list[str]:
        return [str(number) for number in self.index]

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Drawn:
        return Drawn(self.simulator, self.origin, self.index[rows], self.parameter)

    @torch.no_grad()
    def images(self, batch_size: int) -> Iterator[Tensor]:
        for start in range(0, len(self), batch_size):
            yield self.simulator.render(self._scene(start, batch_size))

    def _scene(self, start: int, count: int) -> dict[str, Tensor]:
        index = torch.from_numpy(self.index[start : start + count]).to(self.device)
        return self.simulator.scene(self.origin.seed, self.origin.split, index)


class Read(Pool):
    """Stored lenses, of each the first image.

    Args:
        dataset: Where they are.
        path: The file or folder of that.
        index: (n,) their numbers.
        parameter: The class label.
    """

    def __init__(self, dataset: Dataset, path: Path, index: NDArray[np.int64], parameter: Parameter | None) -> None:
        check_complete(dataset)
        self.dataset, self.path, self.index, self.parameter = dataset, path, index, parameter
        self.origin = _origin_of(dataset.configuration or {})

    def is_of(self, other: Read) -> bool:
        """Whether they are of the same data: what else a file holds, an option of its reader may have named."""
        if self.path.resolve() != other.path.resolve():
            return False
        one, another = (read_lenses(each.dataset, [0], draws=1)[0] for each in (self, other))
        return torch.equal(one, another)

    def _values(self, label: str) -> Array:
        values = self.dataset.read_parameters(self.index.tolist())[label]
        return values.reshape(len(self), -1)[:, 0].double().numpy()

    def names(self) -> list[str]:
        return [self.dataset.names[number] for number in self.index]

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Read:
        return Read(self.dataset, self.path, self.index[rows], self.parameter)

    def images(self, batch_size: int) -> Iterator[Tensor]:
        for start in range(0, len(self), batch_size):
            yield read_lenses(self.dataset, self.index[start : start + batch_size].tolist(), draws=1)[0][:, 0]


class Embedded(Pool):
    """Images of which only features are known, which stand in for the images.

    Args:
        embeddings: The features.
        index: (n,) the numbers of rows.
        parameter: The class label.
    """

    origin = None

    def __init__(self, embeddings: Embeddings, index: NDArray[np.int64], parameter: Parameter | None) -> None:
        self.embeddings, self.index, self.parameter = embeddings, index, parameter

    def _values(self, label: str) -> Array:
        return self.embeddings.values[label][self.index]

    def names(self) -> list[str]:
        return [self.embeddings.names[number] for number in self.index]

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Embedded:
        return Embedded(self.embeddings, self.index[rows], self.parameter)

    def images(self, batch_size: int) -> Iterator[Tensor]:
        """Their features (up to `batch_size`, d)."""
        for start in range(0, len(self), batch_size):
            rows = self.index[start : start + batch_size]
            yield torch.from_numpy(np.asarray(self.embeddings.features[rows], np.float32))


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
        found, remedy = "no class is recorded of these images", ""
        if labels:
            found = f"the classes of {' and '.join(labels)} are plain numbers, and no anomalies"
            remedy = "; or, if one of these numbers is what is normal, say so with --label and --normal"
        such = f"--simulator deeplense-a --set pixels={pixels}" if pixels else "`lenskit embed RUN --data FOLDER`"
        raise UsageError(
            f"{found}: anomalies are judged on images whose classes are known, such as those of {such}{remedy}"
        )
    if len(meant) > 1:
        raise UsageError(f"there are several class labels, {', '.join(p.name for p in meant)}: say which with --label")
    return meant[0]
