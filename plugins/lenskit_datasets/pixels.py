"""What readers do to pixels: the middle of an image, finite, as float32."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenskit.plugin import LenskitError, UsageError
from lenskit.toolbox import check_bytes
from lenskit_datasets.fill import fill_masked

log = logging.getLogger("lenskit")

IN_MEMORY = "an image in float32"
"""Part that messages about the limit of bytes name."""

MOST_REPORTS = 10
"""Of so many images a reader tells what is filled: a data set may have holes in all."""

Shape = tuple[int, int, int]
"""Channels, height and width."""


class Clean:
    """Makes images fit to be learned from: their middle is cut out, and what is not finite filled.

    Holes are filled as `lenskit_datasets.fill` says, and how many there were is logged once an image, of the first few.

    Args:
        size: Height and width of the middle; all of an image if not given.
    """

    def __init__(self, size: int | None = None) -> None:
        self.size = size
        self._reported: set[str] = set()

    def __call__(self, image: ArrayLike, name: str) -> NDArray[np.float32]:
        """One image, or those of a lens.

        Args:
            image: (..., height, width), of any type of real numbers and any byte order; what float32 cannot hold is
                not finite.
            name: What the image is called in messages.

        Returns:
            (..., height, width), float32.

        Raises:
            LenskitError: if there is no image: all pixels of a channel are equal, or none is finite.
        """
        with np.errstate(over="ignore"):
            pixels = np.asarray(image).astype(np.float32, order="C")
        holes = ~np.isfinite(pixels)
        if holes.any():
            for plane in map(tuple, np.argwhere(holes.any((-2, -1)))):
                if holes[plane].all():
                    raise LenskitError(f"{name} holds no image: no pixel is finite{_where(plane, pixels)}")
                pixels[plane] = fill_masked(pixels[plane], holes[plane])
            self._report(name, holes)
        pixels = pixels[..., *middle(pixels.shape[-2:], self.size)]
        flat = pixels.max((-2, -1)) == pixels.min((-2, -1))
        if flat.any():
            plane = tuple(np.argwhere(flat)[0])
            raise LenskitError(
                f"{name} holds no image: all pixels are {pixels[plane].flat[0]:g}{_where(plane, pixels)}"
            )
        return pixels

    def _report(self, name: str, holes: NDArray[np.bool_]) -> None:
        if name not in self._reported and len(self._reported) < MOST_REPORTS:
            self._reported.add(name)
            log.info("%s: %.1f %% of the pixels are filled: %d are not finite", name, 100 * holes.mean(), holes.sum())


def _where(plane: tuple[int, ...], pixels: NDArray[np.float32]) -> str:
    """Which of several planes, in words."""
    names = ("lens", "view", "channel")[-len(plane) :] if plane else ()
    told = [f"{name} {number}" for name, number, n in zip(names, plane, pixels.shape, strict=False) if n > 1]
    return f" in {', '.join(told)}" if told else ""


def middle(area: Sequence[int], size: int | None) -> tuple[slice, slice]:
    """The rows and columns of the middle of an image."""
    height, width = area
    if size is None:
        return slice(0, height), slice(0, width)
    top, left = (height - size) // 2, (width - size) // 2
    return slice(top, top + size), slice(left, left + size)


def by(lengths: Sequence[int]) -> str:
    """Lengths in words: `110 x 110`."""
    return " x ".join(map(str, lengths))


def common_shape(shapes: Sequence[Shape], names: Sequence[object], size: int | None) -> Shape:
    """The shape of images once their middle is cut out.

    Args:
        shapes: Channels, height and width of each; at least one.
        names: What they are called in messages.
        size: Height and width of the middle; all of it if not given, and then all must agree.

    Raises:
        UsageError: if channels or sizes differ, or an image is not square and no size is given.
    """
    first = shapes[0]
    smallest = min(chain.from_iterable(shape[1:] for shape in shapes))
    for name, shape in zip(names, shapes, strict=True):
        channels, *area = shape
        check_bytes(str(name), 4 * channels * area[0] * area[1], IN_MEMORY)
        if channels != first[0]:
            raise UsageError(f"{name} has {channels} channels, {names[0]} has {first[0]}: all must agree")
        if size is None and shape != first:
            raise UsageError(
                f"{name} has {by(area)} pixels, {names[0]} has {by(first[1:])}: "
                f"say size={smallest} to use the middle of each"
            )
        if size is None and area[0] != area[1]:
            raise UsageError(f"{name} has {by(area)} pixels: say size={min(area)} to use a square in its middle")
        if size is not None and min(area) < size:
            raise UsageError(f"{name} has {by(area)} pixels, fewer than size={size}")
    if size and (moved := sum((shape[1] - size) % 2 or (shape[2] - size) % 2 for shape in shapes)):
        log.info(
            "the middle of %s is cut out half a pixel off centre, for lack of a middle pixel on one side: "
            "an %s size keeps it",
            "the images" if moved == len(shapes) else f"{moved} of {len(shapes)} images",
            "even" if size % 2 else "odd",
        )
    return (first[0], size or first[1], size or first[2])
