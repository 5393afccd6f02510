"""The base of the bundled readers: which pixels are undefined, and images that networks can learn from."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenskit.plugin import Dataset, LenskitError
from lenskit.toolbox import plane_of
from lenskit_datasets.pixels import middle


class Reader(Dataset):
    """Base of readers whose images may have undefined pixels.

    Args:
        blank: Value of undefined pixels, or several, such as `-9999` or `[-9999, 0]`. They are filled, as NaNs are.
            Values are compared in single precision, as a FITS file's BSCALE and BZERO give them.
    """

    def __init__(self, *, blank: float | list[float] | None = None) -> None:
        values = [] if blank is None else blank if isinstance(blank, list) else [blank]
        self._blank = np.array(values, np.float32)

    def mark(self, pixels: NDArray[np.float32]) -> None:
        """Set undefined pixels to NaN, in place."""
        for value in self._blank:
            pixels[pixels == value] = np.nan

    def in_single_precision(self, image: ArrayLike) -> NDArray[np.float32]:
        """Return a copy of an image in float32 whose undefined pixels are not finite.

        Args:
            image: Pixels of any type of real numbers and any byte order. Values too large for float32 become infinite.
        """
        with np.errstate(over="ignore"):
            pixels = np.asarray(image).astype(np.float32, order="C")
        self.mark(pixels)
        return pixels

    def clean(self, image: ArrayLike, name: str, lens: str, size: int | None = None) -> NDArray[np.float32]:
        """Return the middle of an image, or of those of a lens, with its undefined pixels filled.

        Args:
            image: (..., height, width), of any type of real numbers and any byte order.
            name: Name of the image in messages.
            lens: Name of its lens.
            size: Height and width of the middle in pixels. By default all of the image.

        Returns:
            (..., height, width), float32 and finite.

        Raises:
            LenskitError: if there is no image: all pixels of a channel are equal, or undefined.
        """
        pixels = self.in_single_precision(image)
        used = middle(pixels.shape[-2:], size)
        pixels = self.undefined.fill(pixels, name, lens, used)[..., *used]
        check_contrast(pixels, name)
        return pixels


def check_contrast(image: NDArray[np.float32], name: str) -> None:
    """Check that an image (..., height, width) is none whose pixels are all equal.

    Raises:
        LenskitError: if all pixels of a channel are equal.
    """
    flat = np.argwhere(image.max((-2, -1)) == image.min((-2, -1)))
    if len(flat):
        plane = tuple(flat[0])
        value = image[plane].flat[0]
        raise LenskitError(f"{name} holds no image: all pixels are {value:g}{plane_of(plane, image.shape)}")
