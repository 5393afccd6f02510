"""Lens set of a dataset."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lenskit.contracts.dataset import check_stated, meet_dataset
from lenskit.data.lens_set import Lenses, LensSet, Numbers, Rows, join_values
from lenskit.errors import LenskitError
from lenskit.kinds.dataset import Dataset

Pixels = tuple[Tensor, Tensor]
"""Images (n, draws, C, H, W) and parameters (n, draws, number of parameters), float32."""

TOGETHER = 4096
"""Number of lenses whose parameters are read at a time."""


class StoredLenses(LensSet):
    """Lenses of a dataset.

    Args:
        dataset: The dataset.
        index: (n,) numbers of the lenses; by default all lenses.

    Raises:
        LenskitError: The dataset is empty or incomplete.
    """

    def __init__(self, dataset: Dataset, index: Numbers | None = None) -> None:
        check_stated(dataset)
        check_complete(dataset)
        self.dataset = dataset
        self.index = range(len(dataset)) if index is None else index
        self.step = dataset.chunk if index is None else 1
        self.parameters, self.image_shape = list(dataset.parameters), dataset.image_shape
        self.pixel_scale, self.views, self.shared_groups = dataset.pixel_scale, dataset.views, dataset.shared_groups

    def names_of(self, numbers: Iterable[int]) -> list[str]:
        return [self.dataset.names[int(number)] for number in numbers]

    def values(self) -> dict[str, NDArray[np.float64]]:
        def recorded(rows: range) -> dict[str, NDArray[np.float64]]:
            values = self.dataset.read_parameters(_as_range(self.numbers(rows)))
            return {p.name: values[p.name].reshape(len(rows), -1)[:, 0].double().numpy() for p in self.parameters}

        return join_values(map(recorded, self.parts(TOGETHER))) or {p.name: np.empty(0) for p in self.parameters}

    def select(self, rows: Rows) -> Self:
        chosen = super().select(rows)
        chosen.step = 1
        return chosen

    def read(self, rows: Rows, views: int = 1, omit: Iterable[str] = ()) -> Lenses:
        if frozenset(omit):
            raise LenskitError("no light can be left out of stored images")
        meet_dataset(self.dataset)
        index = self.numbers(rows)
        return self.made_of(*read_lenses(self.dataset, _as_range(index), draws=views), torch.from_numpy(index))

    def made_of(self, images: Tensor, known: Tensor, index: Tensor) -> Lenses:
        """Return images and parameters from `read_lenses` as `Lenses`.

        Args:
            images: (n, views, channels, height, width).
            known: (n, views, parameters).
            index: (n,) numbers of the lenses.
        """
        views = images.shape[1]
        return Lenses(
            images.flatten(0, 1),
            {parameter.name: known[..., i].flatten() for i, parameter in enumerate(self.parameters)},
            index.repeat_interleave(views),
            torch.arange(views, device=index.device).repeat(len(index)),
        )


def read_lenses(dataset: Dataset, lenses: Sequence[int], draws: int, into: Tensor | None = None) -> Pixels:
    """Read the first `draws` images of each lens, and the parameters.

    Undefined pixels are filled.

    Args:
        dataset: The dataset.
        lenses: Numbers of the lenses.
        draws: Number of images of each lens.
        into: Memory for the images, (n or more, draws, C, H, W).

    Raises:
        LenskitError: All pixels of a channel are undefined.
    """
    into = torch.empty(len(lenses), draws, *dataset.image_shape) if into is None else into[: len(lenses)]
    values = dataset.read_into(into, lenses)
    if not _all_finite(into):
        for lens, image in zip(lenses, into.numpy(), strict=True):
            image[:] = dataset.undefined.fill(image, f"lens {dataset.names[lens]}", dataset.names[lens])
    columns = [_per_image(values[parameter.name], draws) for parameter in dataset.parameters]
    return into, torch.stack(columns, -1) if columns else torch.empty(len(lenses), draws, 0)


def _all_finite(images: Tensor) -> bool:
    """Whether all pixels are finite.

    The function uses numpy, because torch would start threads in each reading thread.
    """
    pixels = images.numpy().reshape(-1)
    # A sum of squares allocates no memory, and is finite only if all pixels are. Large finite pixels may overflow the
    # sum.
    return math.isfinite(np.einsum("i,i->", pixels, pixels)) or bool(np.isfinite(pixels).all())


def _per_image(values: Tensor, draws: int) -> Tensor:
    """Return values (n,) or (n, views) as (n, draws)."""
    return values[:, None].expand(-1, draws) if values.ndim == 1 else values[:, :draws]


def _as_range(index: Numbers) -> Sequence[int]:
    """Return consecutive numbers as a range, which is fast to read, or else a list."""
    if len(index) and np.array_equal(index, np.arange(index[0], index[0] + len(index))):
        return range(int(index[0]), int(index[0]) + len(index))
    return index.tolist()


def check_complete(dataset: Dataset) -> None:
    """Check that a dataset has lenses, and that all of them are stored.

    Raises:
        LenskitError: The dataset is empty or incomplete. The message has the number of missing lenses.
    """
    if not len(dataset):
        raise LenskitError("the data hold no lenses")
    if dataset.missing:
        raise LenskitError(
            f"the data are incomplete: {dataset.missing} of {len(dataset)} lenses are missing; repeat the command "
            "`lenskit simulate` to resume"
        )
    if dataset.unfinished:
        raise LenskitError(f"the data are incomplete: {dataset.unfinished}")
