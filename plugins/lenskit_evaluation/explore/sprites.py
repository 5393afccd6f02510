"""Small pictures of many lenses, some hundred to a sheet, in a web page without files beside it."""

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
"""(n, side, side, 3): red, green and blue, the first row at the top."""

COLUMNS = 16
"""Thumbnails side by side on a sheet, and below one another: a sheet takes few milliseconds to decode."""

QUALITY = 80
"""Of the JPEG, of 100: noise looks like noise, and a thumbnail of 48 pixels takes about a kilobyte."""


def thumbnails(images: torch.Tensor, side: int) -> Thumbnails:
    """Images (n, C, H, W) in any unit as `lenskit show` draws them: stretched by the noise of their border, three
    channels or more in colour, the others by their mean.

    Args:
        images: The images.
        side: Height and width of what comes out.
    """
    images = (images / (3 * border_noise(images))).asinh()
    if images.shape[-2:] != (side, side):
        images = F.interpolate(images, (side, side), mode="bilinear", antialias=True)
    drawn = np.stack([colours(image) for image in images.float().cpu().numpy()])
    # The first row of an image is at the bottom.
    return (255 * drawn[:, ::-1] + 0.5).astype(np.uint8)


@dataclass(frozen=True)
class Sprites:
    """Sheets of thumbnails.

    Attributes:
        side: Height and width of a thumbnail.
        sheets: Each a JPEG of `COLUMNS` x `COLUMNS` thumbnails, row by row from the top; the last is filled up in
            black.
    """

    side: int
    sheets: Sequence[bytes]

    @classmethod
    def of(cls, pictures: Thumbnails) -> Sprites:
        """Puts thumbnails on sheets."""
        side, each = pictures.shape[1], COLUMNS**2
        return cls(side, [_sheet(pictures[start : start + each]) for start in range(0, len(pictures), each)])

    def css(self) -> str:
        """A rule for each sheet: what has the class `sheet-3` shows the fourth."""
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
    # Colours at full resolution, so that none runs over into the neighbour's picture.
    options = {"quality": QUALITY, "subsampling": 0, "optimize": True}
    imsave(file, rows.reshape(COLUMNS * side, COLUMNS * side, 3), format="jpg", pil_kwargs=options)
    return file.getvalue()
