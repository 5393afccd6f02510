"""Pixels and parameters of stored lenses, checked as they are read."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lenskit.errors import LenskitError
from lenskit.kinds.dataset import Dataset

Pixels = tuple[Tensor, Tensor]
"""Images (n, draws, C, H, W) and parameters (n, draws, number of parameters), float32."""


def read_lenses(dataset: Dataset, lenses: Sequence[int], draws: int, into: Tensor | None = None) -> Pixels:
    """Return lenses of a dataset, and the first `draws` images of each.

    Args:
        dataset: Where they are read from.
        lenses: Their numbers.
        draws: How many images of each.
        into: Memory for the images, (n or more, draws, C, H, W).

    Raises:
        LenskitError: if a pixel is not finite.
    """
    into = torch.empty(len(lenses), draws, *dataset.image_shape) if into is None else into[: len(lenses)]
    known = dataset.read_into(into, lenses)
    if not _all_finite(into):
        bad = next(lens for lens, image in zip(lenses, into.numpy(), strict=True) if not np.isfinite(image).all())
        raise LenskitError(f"lens {dataset.names[bad]} holds pixels that are not finite")
    columns = [_per_image(known[parameter.name], draws) for parameter in dataset.parameters]
    return into, torch.stack(columns, -1) if columns else torch.empty(len(lenses), draws, 0)


def _all_finite(images: Tensor) -> bool:
    """Whether all pixels are finite. By numpy, because torch would start threads of its own in each of ours."""
    pixels = images.numpy().reshape(-1)
    # A sum of squares, which one that is not finite cannot leave finite, takes no memory. It may overflow for others.
    return math.isfinite(np.einsum("i,i->", pixels, pixels)) or bool(np.isfinite(pixels).all())


def _per_image(values: Tensor, draws: int) -> Tensor:
    """Values (n,) or (n, views) as (n, draws)."""
    return values[:, None].expand(-1, draws) if values.ndim == 1 else values[:, :draws]
