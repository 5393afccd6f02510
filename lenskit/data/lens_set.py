"""Lens sets: simulated or stored lenses, which training, evaluations, embeddings and detectors walk in one way.

A lens set is an array of lens numbers and a way to values, names and images. `select` keeps the numbers, so that a
split, a class or a shard of a set is a lens set again, of the same lenses.
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
"""Rows of a lens table: their numbers, or a mask."""

CHUNK = 256
"""Images made or read at a time."""


@dataclass(frozen=True)
class Lenses:
    """Raw images of some lenses, on the device of their lens set.

    The views of a lens follow each other. `images.unflatten(0, (-1, views))` gives them an axis of their own.

    Attributes:
        images: (n, channels, height, width), float32; of embedded lenses their features (n, d).
        values: (n,) of each recorded parameter by name, NaN where not known.
        lens: (n,) int64, number of the lens that an image shows.
        view: (n,) int64, number of the image among those of its lens.
    """

    images: Tensor
    values: dict[str, Tensor]
    lens: Tensor
    view: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str) -> Lenses:
        """Return the same on a device."""
        values = {name: value.to(device) for name, value in self.values.items()}
        return Lenses(self.images.to(device), values, self.lens.to(device), self.view.to(device))

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return the values as numpy arrays of float64."""
        return {name: value.double().cpu().numpy() for name, value in self.values.items()}

    def first_views(self, views: int) -> Lenses:
        """Return the first of every `views` images."""
        values = {name: value[::views] for name, value in self.values.items()}
        return Lenses(self.images[::views], values, self.lens[::views], self.view[::views])


class LensTable(ABC):
    """Lenses and their recorded parameters: simulated, stored or embedded.

    Attributes:
        parameters: The recorded parameters.
        index: (n,) numbers of the lenses; a range if they are all, from 0.
    """

    parameters: Sequence[Parameter]
    index: Numbers | range

    def __len__(self) -> int:
        return len(self.index)

    @property
    def size(self) -> int | None:
        """Return the number of lenses; None of an endless set."""
        return len(self)

    @property
    def names(self) -> list[str]:
        """Return the n names of the lenses."""
        return self.names_of(self.index)

    @abstractmethod
    def names_of(self, numbers: Iterable[int]) -> list[str]:
        """Return the names of lenses by their numbers."""

    @abstractmethod
    def values(self) -> dict[str, NDArray[np.float64]]:
        """Return the values (n,) of each recorded parameter, of the first view.

        No image is made. One is read only if a reader has no parameters apart from images.
        """

    @abstractmethod
    def chunks(self, size: int = CHUNK) -> Iterator[Lenses]:
        """Yield the lenses in order, about `size` images at a time."""

    def select(self, rows: Rows) -> Self:
        """Return the lenses of some rows, with their numbers."""
        chosen = copy(self)
        chosen.index = self.numbers(rows)
        return chosen

    def numbers(self, rows: Rows) -> Numbers:
        """Return the numbers of the lenses of some rows."""
        chosen = np.asarray(rows)
        chosen = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64)
        # In a set of all lenses a row is the number of its lens.
        return chosen if isinstance(self.index, range) else self.index[chosen]


class LensSet(LensTable):
    """Lenses with images, which are made or read on demand.

    Attributes:
        image_shape: Channels, height and width of an image.
        pixel_scale: Size of a pixel in arcsec, where it is known.
        views: Number of views of a lens; None if it is unlimited.
        removable: Parameter groups whose light can be left out.
        step: Neighbouring lenses that are best read together.
    """

    image_shape: tuple[int, int, int]
    pixel_scale: float | None = None
    views: int | None = 1
    removable: frozenset[str] = frozenset()
    step: int = 1

    @abstractmethod
    def read(self, rows: Rows, views: int = 1, omit: Iterable[str] = ()) -> Lenses:
        """Return the first views of the lenses of some rows.

        Args:
            rows: Rows of the set.
            views: Views of each lens.
            omit: Groups of `removable` whose light is left out.

        Raises:
            LenskitError: An image cannot be read, or a group cannot be left out.
        """

    def chunks(self, size: int = CHUNK, views: int = 1, omit: Iterable[str] = ()) -> Iterator[Lenses]:
        for rows in self.parts(size, views):
            yield self.read(rows, views, omit)

    def parts(self, size: int = CHUNK, views: int = 1) -> Iterator[range]:
        """Yield the rows in order, about `size` images and whole steps at a time."""
        count = max(size // (self.step * views), 1) * self.step
        return (range(start, min(start + count, len(self))) for start in range(0, len(self), count))

    def to(self, device: torch.device | str) -> Self:
        """Have images made on a device, if they are made."""
        return self


class ArrayLenses(LensSet):
    """Images in memory, of which nothing is recorded.

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
    """Join values by name, part by part."""
    joined: dict[str, list[NDArray[np.float64]]] = {}
    for part in parts:
        for name, value in part.items():
            joined.setdefault(name, []).append(value)
    return {name: np.concatenate(values) for name, values in joined.items()}
