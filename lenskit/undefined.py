"""Filling, reports and counts of the undefined pixels of stored images."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from lenskit.errors import LenskitError

log = logging.getLogger("lenskit")

MOST_REPORTS = 10
"""Largest number of images of a dataset whose filled pixels are logged."""

ALL = (slice(None), slice(None))
"""All rows and columns."""


class Undefined:
    """Filler of the undefined pixels of a dataset: pixels that are not finite.

    The first `MOST_REPORTS` images with undefined pixels are logged, once each.
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] | None = None
        """Number of undefined pixels by the name of the lens; None if they are not counted."""
        self._reported: set[str] = set()

    def fill(
        self, image: NDArray[np.float32], name: str, lens: str, used: tuple[slice, slice] = ALL
    ) -> NDArray[np.float32]:
        """Return an image whose undefined pixels are filled; see `lenskit.fill`.

        Args:
            image: (..., height, width). It is not changed.
            name: Name of the image in messages.
            lens: Name of the lens in the image.
            used: Rows and columns that the caller uses. Pixels outside help to fill those inside, and are not counted.

        Returns:
            (..., height, width), finite; the image itself if all pixels are defined.

        Raises:
            LenskitError: if all used pixels of a channel are undefined.
        """
        holes = ~np.isfinite(image)
        if not holes.any():
            return image
        inside = holes[..., *used]
        empty = np.argwhere(inside.all((-2, -1)))
        if len(empty):
            raise LenskitError(
                f"{name} holds no image: all pixels are undefined{plane_of(tuple(empty[0]), image.shape)}"
            )
        from lenskit.fill import fill_masked  # scipy takes long to import

        filled = image.copy()
        for plane in map(tuple, np.argwhere(holes.any((-2, -1)))):
            filled[plane] = fill_masked(image[plane], holes[plane])
        self._note(name, lens, inside)
        return filled

    def _note(self, name: str, lens: str, holes: NDArray[np.bool_]) -> None:
        """Report and count the undefined pixels of an image."""
        number = int(holes.sum())
        if not number:
            return
        if self.counts is not None:
            self.counts[lens] = self.counts.get(lens, 0) + number
        if name not in self._reported and len(self._reported) < MOST_REPORTS:
            self._reported.add(name)
            log.info("%s: %d of %d pixels are undefined and are filled", name, number, holes.size)


def plane_of(plane: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """Return the name of a plane of an image, such as ` in view 0, channel 1`.

    Args:
        plane: Indices of the view and the channel, or of the channel only.
        shape: Shape of the image: height and width, after the channels or after views and channels. An axis of length
            one is not named.
    """
    names = ("view", "channel")[-len(plane) :] if plane else ()
    told = [f"{name} {number}" for name, number, length in zip(names, plane, shape, strict=False) if length > 1]
    return f" in {', '.join(told)}" if told else ""
