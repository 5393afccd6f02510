"""Base class of the bundled readers: undefined pixels, and checks of images."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenskit.plugin import Dataset, LenskitError
from lenskit.toolbox import plane_of
from lenskit_datasets.pixels import middle


class Reader(Dataset):
    """Base class of readers whose images may have undefined pixels.

    Args:
        blank: Value of undefined pixels, or several, such as `-9999` or `[-9999, 0]`. They are filled like NaNs. Values
            are compared in single precision, after the BSCALE and BZERO of a FITS file.
    """

    def __init__(self, *, blank: float | list[float] | None = None) -> None:
        values = [] if blank is None else blank if isinstance(blank, list) else [blank]
        self._blank = np.array(values, np.float32)

    def mark(self, pixels: NDArray[np.float32]) -> None:
        """Set undefined pixels to NaN, in place."""
        for value in self._blank:
            pixels[pixels == value] = np.nan

    def in_single_precision(self, image: ArrayLike) -> NDArray[np.float32]:
        """Return a copy of an image in float32; undefined pixels are not finite.

        Args:
            image: Pixels of any real type and byte order. Values too large for float32 become infinite.
        """
        with np.errstate(over="ignore"):
            pixels = np.asarray(image).astype(np.float32, order="C")
        self.mark(pixels)
        return pixels

    def clean(self, image: ArrayLike, name: str, lens: str, size: int | None = None) -> NDArray[np.float32]:
        """Return the centre of an image, or of a lens's images, without undefined pixels.

        Args:
            image: (..., height, width), of any real type and byte order.
            name: Name of the image in messages.
            lens: Name of the lens.
            size: Height and width of the central part in pixels. By default the entire image.

        Returns:
            (..., height, width), float32 and finite.

        Raises:
            LenskitError: There is no image: all pixels of a channel are equal or undefined.
        """
        pixels = self.in_single_precision(image)
        used = middle(pixels.shape[-2:], size)
        pixels = self.undefined.fill(pixels, name, lens, used)[..., *used]
        check_contrast(pixels, name)
        return pixels


def check_contrast(image: NDArray[np.float32], name: str) -> None:
    """Check that the pixels of an image (..., height, width) are not all equal.

    Raises:
        LenskitError: All pixels of a channel are equal.
    """
    flat = np.argwhere(image.max((-2, -1)) == image.min((-2, -1)))
    if len(flat):
        plane = tuple(flat[0])
        value = image[plane].flat[0]
        raise LenskitError(f"{name} holds no image: all pixels are {value:g}{plane_of(plane, image.shape)}")
