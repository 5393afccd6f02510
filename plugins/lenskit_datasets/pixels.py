"""Centre and common shape of images."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import chain

from lenskit.plugin import UsageError
from lenskit.toolbox import check_bytes

log = logging.getLogger("lenskit")

IN_MEMORY = "an image in float32"
"""Name of an image in messages about the limit of bytes."""

Shape = tuple[int, int, int]
"""Channels, height and width."""


def middle(area: Sequence[int], size: int | None) -> tuple[slice, slice]:
    """Return the rows and columns of the central part of an image."""
    height, width = area
    if size is None:
        return slice(0, height), slice(0, width)
    top, left = (height - size) // 2, (width - size) // 2
    return slice(top, top + size), slice(left, left + size)


def by(lengths: Sequence[int]) -> str:
    """Return lengths as text, such as `110 x 110`."""
    return " x ".join(map(str, lengths))


def common_shape(shapes: Sequence[Shape], names: Sequence[object], size: int | None) -> Shape:
    """Return the shape of images after their central part is cut out.

    Args:
        shapes: Channels, height and width of each image; at least one image.
        names: Names of the images in messages.
        size: Height and width of the central part. None uses the entire image; then all images must have the same
            shape.

    Raises:
        UsageError: Channels or sizes differ, or an image is not square and no size is given.
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
                f"use size={smallest} to cut out the middle of each"
            )
        if size is None and area[0] != area[1]:
            raise UsageError(f"{name} has {by(area)} pixels: use size={min(area)} to cut out a square in its middle")
        if size is not None and min(area) < size:
            raise UsageError(f"{name} has {by(area)} pixels, fewer than size={size}")
    if size and (moved := sum((shape[1] - size) % 2 or (shape[2] - size) % 2 for shape in shapes)):
        log.info(
            "the middle of %s is cut out half a pixel off centre, because one side has no middle pixel: "
            "an %s size avoids this",
            "the images" if moved == len(shapes) else f"{moved} of {len(shapes)} images",
            "even" if size % 2 else "odd",
        )
    return (first[0], size or first[1], size or first[2])
