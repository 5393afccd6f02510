"""Thumbnails of many lenses on a few sheets, embedded in a web page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from lenskit.toolbox import border_noise, colours

Thumbnails = NDArray[np.uint8]
"""(n, side, side, 3): red, green and blue, with the first row at the top."""

COLUMNS = 16
"""Rows and columns of thumbnails on a sheet; a browser decodes a sheet of this size in a few milliseconds."""

QUALITY = 80
"""JPEG quality, up to 100. Noise keeps its appearance, and a thumbnail of 48 x 48 pixels takes about 1 kB."""


def thumbnails(images: torch.Tensor, side: int) -> Thumbnails:
    """Return thumbnails of images in the style of `lenskit show`.

    The pixels are divided by three times the noise at the border of the image, and stretched by asinh. Images with at
    least three channels are in colour. Images with fewer channels show the mean of the channels.

    Args:
        images: (n, C, H, W), in any unit.
        side: Height and width of the thumbnails in pixels.
    """
    images = (images / (3 * border_noise(images))).asinh()
    if images.shape[-2:] != (side, side):
        images = F.interpolate(images, (side, side), mode="bilinear", antialias=True)
    drawn = np.stack([colours(image) for image in images.float().cpu().numpy()])
    # Astronomical images have their first row at the bottom.
    return (255 * drawn[:, ::-1] + 0.5).astype(np.uint8)


@dataclass(frozen=True)
class Sprites:
    """Sheets of thumbnails.

    Attributes:
        side: Height and width of a thumbnail in pixels.
        sheets: JPEG data of sheets of `COLUMNS` x `COLUMNS` thumbnails, row by row from the top. Unused places of the
            last sheet are black.
    """

    side: int
    sheets: Sequence[bytes]

    @classmethod
    def of(cls, pictures: Thumbnails) -> Sprites:
        """Return the sheets of thumbnails."""
        side, each = pictures.shape[1], COLUMNS**2
        return cls(side, [_sheet(pictures[start : start + each]) for start in range(0, len(pictures), each)])

    def css(self) -> str:
        """Return CSS in which class `sheet-0` has the first sheet as background image."""
        rules = (
            f".sheet-{number} {{ background-image: url(data:image/jpeg;base64,{base64.b64encode(sheet).decode()}) }}"
            for number, sheet in enumerate(self.sheets)
        )
        return "\n".join(rules)


def _sheet(pictures: Thumbnails) -> bytes:
    from matplotlib.image import imsave

    n, side = pictures.shape[:2]
    sheet = np.zeros((COLUMNS**2, side, side, 3), np.uint8)
    sheet[:n] = pictures
    rows = sheet.reshape(COLUMNS, COLUMNS, side, side, 3).transpose(0, 2, 1, 3, 4)
    file = io.BytesIO()
    # Without chroma subsampling, colours cannot spread into the next thumbnail.
    options = {"quality": QUALITY, "subsampling": 0, "optimize": True}
    imsave(file, rows.reshape(COLUMNS * side, COLUMNS * side, 3), format="jpg", pil_kwargs=options)
    return file.getvalue()
