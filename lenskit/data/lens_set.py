"""Lens sets, the common interface of simulated and stored lenses.

Training, evaluations, embeddings and anomaly detectors use lens sets. A lens set has the numbers of its lenses, and
gives access to their parameter values, names and images. `select` returns a smaller lens set, such as a split, a class
or a shard. Its lenses keep their numbers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lenskit.kinds.parameter import Parameter

Numbers = NDArray[np.int64]
Rows = Sequence[int] | NDArray[np.int64] | NDArray[np.bool_]
"""Rows of a lens table: row numbers, or a mask."""

CHUNK = 256
"""Number of images that are simulated or read at a time."""


@dataclass(frozen=True)
class Lenses:
    """Raw images of lenses, on the device of their lens set.

    The views of a lens are consecutive. `images.unflatten(0, (-1, views))` gives the views a separate axis.

    Attributes:
        images: (n, channels, height, width), float32; for embedded lenses, the features (n, d).
        values: Values (n,) of each recorded parameter by name, NaN if unknown.
        lens: (n,) int64, number of the lens in each image.
        view: (n,) int64, number of each image among the views of the lens.
    """

    images: Tensor
    values: dict[str, Tensor]
    lens: Tensor
    view: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str) -> Lenses:
        """Return a copy on a device."""
        values = {name: value.to(device) for name, value in self.values.items()}
        return Lenses(self.images.to(device), values, self.lens.to(device), self.view.to(device))

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return the values as numpy arrays of float64."""
        return {name: value.double().cpu().numpy() for name, value in self.values.items()}

    def first_views(self, views: int) -> Lenses:
        """Return the first view of each lens, if each lens has `views` views."""
        values = {name: value[::views] for name, value in self.values.items()}
        return Lenses(self.images[::views], values, self.lens[::views], self.view[::views])


class LensTable(ABC):
    """Simulated, stored or embedded lenses and their recorded parameters.

    Attributes:
        parameters: The recorded parameters.
        index: (n,) numbers of the lenses; a range from 0 if the table has all lenses.
    """

    parameters: Sequence[Parameter]
    index: Numbers | range

    def __len__(self) -> int:
        return len(self.index)

    @property
    def size(self) -> int | None:
        """Number of lenses; None for an endless set."""
        return len(self)

    @property
    def names(self) -> list[str]:
        """Names of the n lenses."""
        return self.names_of(self.index)

    @abstractmethod
    def names_of(self, numbers: Iterable[int]) -> list[str]:
        """Return the names of lenses by their numbers."""

    @abstractmethod
    def values(self) -> dict[str, NDArray[np.float64]]:
        """Return the values (n,) of each recorded parameter for the first view.

        No image is simulated. Images are read only if the reader cannot read parameters alone.
        """

    @abstractmethod
    def chunks(self, size: int = CHUNK) -> Iterator[Lenses]:
        """Yield the lenses in order, about `size` images at a time."""

    def select(self, rows: Rows) -> Self:
        """Return the lenses in some rows; the lenses keep their numbers."""
        chosen = copy(self)
        chosen.index = self.numbers(rows)
        return chosen

    def numbers(self, rows: Rows) -> Numbers:
        """Return the numbers of the lenses in some rows."""
        chosen = np.asarray(rows)
        chosen = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64)
        # In a set of all lenses, row i has lens i.
        return chosen if isinstance(self.index, range) else self.index[chosen]


class LensSet(LensTable):
    """Lenses with images, which are simulated or read on demand.

    Attributes:
        image_shape: Channels, height and width of an image.
        pixel_scale: Size of a pixel in arcsec; None if unknown.
        views: Number of views of a lens; None if unlimited.
        removable: Parameter groups whose light can be left out.
        step: Number of neighbouring lenses that are best read together.
    """

    image_shape: tuple[int, int, int]
    pixel_scale: float | None = None
    views: int | None = 1
    removable: frozenset[str] = frozenset()
    step: int = 1

    @abstractmethod
    def read(self, rows: Rows, views: int = 1, omit: Iterable[str] = ()) -> Lenses:
        """Return the first views of the lenses in some rows.

        Args:
            rows: Rows of the set.
            views: Number of views of each lens.
            omit: Groups of `removable` whose light is left out.

        Raises:
            LenskitError: An image cannot be read, or a group cannot be left out.
        """

    def chunks(self, size: int = CHUNK, views: int = 1, omit: Iterable[str] = ()) -> Iterator[Lenses]:
        for rows in self.parts(size, views):
            yield self.read(rows, views, omit)

    def parts(self, size: int = CHUNK, views: int = 1) -> Iterator[range]:
        """Yield ranges of rows in order: about `size` images each, multiples of `step`."""
        count = max(size // (self.step * views), 1) * self.step
        return (range(start, min(start + count, len(self))) for start in range(0, len(self), count))

    def to(self, device: torch.device | str) -> Self:
        """Simulate images on this device. Stored images stay on the CPU."""
        return self


class ArrayLenses(LensSet):
    """Images in memory, without recorded parameters.

    Args:
        images: (n, channels, height, width).
    """

    def __init__(self, images: Tensor) -> None:
        self.images, self.index, self.parameters = images, range(len(images)), []
        _, channels, height, width = images.shape
        self.image_shape = channels, height, width

    def names_of(self, numbers: Iterable[int]) -> list[str]:
        return [str(int(number)) for number in numbers]

    def values(self) -> dict[str, NDArray[np.float64]]:
        return {}

    def read(self, rows: Rows, views: int = 1, omit: Iterable[str] = ()) -> Lenses:
        index = torch.from_numpy(self.numbers(rows))
        return Lenses(self.images[index], {}, index, torch.zeros_like(index))


def join_values(parts: Iterable[dict[str, NDArray[np.float64]]]) -> dict[str, NDArray[np.float64]]:
    """Concatenate the values of each parameter."""
    joined: dict[str, list[NDArray[np.float64]]] = {}
    for part in parts:
        for name, value in part.items():
            joined.setdefault(name, []).append(value)
    return {name: np.concatenate(values) for name, values in joined.items()}
