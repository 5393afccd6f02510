"""Images whose classes are known before one of them is made or read: those judged on, and those trained on."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lenskit.plugin import Dataset, Parameter, Simulator, UsageError, check_complete, read_lenses
from lenskit_evaluation.splits import Array, known_values

CHUNK = 256
"""Lenses whose classes are drawn at a time."""


class Pool(ABC):
    """Lenses, an image each.

    Attributes:
        index: (n,) their numbers.
        parameter: The class label; none if there is none.
    """

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
        seed: Their seed.
        split: Part of the data that they are of.
        index: (n,) their numbers.
        parameter: The class label.
    """

    def __init__(
        self, simulator: Simulator, seed: int, split: str, index: NDArray[np.int64], parameter: Parameter | None
    ) -> None:
        self.simulator, self.seed, self.split = simulator, seed, split
        self.index, self.parameter = index, parameter
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
        return Drawn(self.simulator, self.seed, self.split, self.index[rows], self.parameter)

    @torch.no_grad()
    def images(self, batch_size: int) -> Iterator[Tensor]:
        for start in range(0, len(self), batch_size):
            yield self.simulator.render(self._scene(start, batch_size))

    def _scene(self, start: int, count: int) -> dict[str, Tensor]:
        index = torch.from_numpy(self.index[start : start + count]).to(self.device)
        return self.simulator.scene(self.seed, self.split, index)


class Read(Pool):
    """Stored lenses, of each the first image.

    Args:
        dataset: Where they are.
        index: (n,) their numbers.
        parameter: The class label.
    """

    def __init__(self, dataset: Dataset, index: NDArray[np.int64], parameter: Parameter | None) -> None:
        check_complete(dataset)
        self.dataset, self.index, self.parameter = dataset, index, parameter

    def _values(self, label: str) -> Array:
        values = self.dataset.read_parameters(self.index.tolist())[label]
        return values.reshape(len(self), -1)[:, 0].double().numpy()

    def names(self) -> list[str]:
        return [self.dataset.names[number] for number in self.index]

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Read:
        return Read(self.dataset, self.index[rows], self.parameter)

    def images(self, batch_size: int) -> Iterator[Tensor]:
        for start in range(0, len(self), batch_size):
            yield read_lenses(self.dataset, self.index[start : start + batch_size].tolist(), draws=1)[0][:, 0]


def class_label(parameters: Sequence[Parameter], name: str | None) -> Parameter:
    """The class label of that name, or the only one.

    Raises:
        UsageError: if there is no such, or none, or there are several.
    """
    labels = {parameter.name: parameter for parameter in parameters if parameter.classes}
    if name is not None and name not in labels:
        there = f"there are {', '.join(labels)}" if labels else "there is none"
        raise UsageError(f"there is no class label {name!r}{near(name, [*labels])}; {there}")
    if not labels:
        raise UsageError("no class is recorded of these images: anomalies are judged on images whose classes are known")
    if name is None and len(labels) > 1:
        raise UsageError(f"there are several class labels, {', '.join(labels)}: say which with --label")
    return labels[name or next(iter(labels))]


def near(name: str, names: Sequence[str]) -> str:
    """A hint at what may have been meant, to be put into a sentence; empty if nothing is near."""
    found = difflib.get_close_matches(name, names, n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""
