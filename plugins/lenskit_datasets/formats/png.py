"""Format of rendered images: a folder of grey PNG pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lenskit.plugin import ImageFormat
from lenskit.toolbox import Rendering

SOFTENING = 0.05
"""Fraction of the peak at which the asinh stretch changes from linear to logarithmic."""


class PngFormat(ImageFormat):
    """Folder with a grey PNG for each image, or for each of its channels.

    The first row of an image is at the top of the picture.

    Args:
        path: Folder to write.
        bits: Bits of a pixel.
        stretch: Brightness of a pixel as a function of x, its value divided by the image's peak: `linear`, or `asinh`,
            which is asinh(x / 0.05) / asinh(20). Zero and negative values are black.
    """

    endings = ("", ".png")
    reader = "image-folder"
    folder_of = ".png"

    def __init__(
        self, path: Path, *, bits: Literal[8, 16] = 16, stretch: Literal["linear", "asinh"] = "linear"
    ) -> None:
        super().__init__(path)
        self.bits, self.stretch = bits, stretch

    def write_images(self, rendering: Rendering) -> None:
        from PIL import Image

        channels = rendering.shape[1]
        for part in rendering:
            for name, image in zip(rendering.names[part.first :], part.images, strict=False):
                for channel, grey in enumerate(greys(image, self.bits, self.stretch)):
                    ending = f"-{channel}.png" if channels > 1 else ".png"
                    Image.fromarray(grey).save(self.path / f"{name}{ending}")


def greys(image: NDArray[np.float32], bits: int, stretch: str) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Convert an image to integers.

    The peak becomes the largest integer; zero and negative values become 0.

    Args:
        image: (channels, height, width); all channels have the same scale.
        bits: 8 or 16.
        stretch: Function of x, the image divided by its peak: `linear`, or `asinh`, asinh(x / 0.05) / asinh(1 / 0.05).
    """
    peak = image.max()
    x = np.clip(image / peak, 0, 1).astype(np.float64) if peak > 0 else np.zeros(image.shape)
    if stretch == "asinh":
        x = np.arcsinh(x / SOFTENING) / np.arcsinh(1 / SOFTENING)
    return np.rint(x * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)
