"""Tests of thumbnails on sheets: each is at the position that the page expects."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from torch.nn import functional as F

from lenskit.pictures import colours
from lenskit.preprocessing.preprocess import Preprocess
from lenskit_evaluation.explore.sprites import COLUMNS, Sprites, thumbnails

EACH = COLUMNS**2


def test_each_thumbnail_lies_in_its_place() -> None:
    rng = np.random.default_rng(0)
    pictures = np.empty((EACH + 5, 12, 12, 3), np.uint8)
    pictures[:] = rng.integers(0, 256, (len(pictures), 1, 1, 3))
    sprites = Sprites.of(pictures)
    sheets = [imread(io.BytesIO(sheet), format="jpg") for sheet in sprites.sheets]
    assert [sheet.shape for sheet in sheets] == [(COLUMNS * 12, COLUMNS * 12, 3)] * 2
    for lens in (0, 1, COLUMNS, EACH - 1, EACH, EACH + 4):
        row, column = divmod(lens % EACH, COLUMNS)
        # Only the centre, because JPEG blocks of 8 pixels overlap the borders of thumbnails of 12 pixels.
        found = sheets[lens // EACH][12 * row + 4 : 12 * row + 8, 12 * column + 4 : 12 * column + 8].mean((0, 1))
        assert found == pytest.approx(pictures[lens, 0, 0].astype(float), abs=20)
    assert sheets[1][24:].max() < 10


def test_the_rules_hold_the_sheets() -> None:
    sprites = Sprites.of(np.zeros((EACH + 1, 8, 8, 3), np.uint8))
    rules = re.findall(r"\.sheet-(\d+) \{ background-image: url\(data:image/jpeg;base64,([\w+/=]+)\) \}", sprites.css())
    assert [(int(number), base64.b64decode(code)) for number, code in rules] == list(enumerate(sprites.sheets))


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_thumbnails_look_like_what_lenskit_show_draws(channels: int) -> None:
    images = torch.randn(3, channels, 20, 20, generator=torch.Generator().manual_seed(0))
    images[:, 0, 2:6, 10:14] += 30  # near the bottom, because the first row of an image is at the bottom
    found = thumbnails(images, 20)
    assert found.dtype == np.uint8
    expected = np.stack([colours(image) for image in Preprocess("asinh")(images).numpy()])[:, ::-1]
    assert found / 255 == pytest.approx(expected, abs=0.6 / 255)
    assert found[:, 10:].max((1, 2, 3)).min() > found[:, :10].mean()
    small = thumbnails(images, 10)
    resized = F.interpolate(Preprocess("asinh")(images), (10, 10), mode="bilinear", antialias=True)
    assert small / 255 == pytest.approx(np.stack([colours(image) for image in resized.numpy()])[:, ::-1], abs=0.6 / 255)


def test_what_is_drawn_does_not_depend_on_the_unit() -> None:
    images = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    # The stretch scales with the noise, up to rounding.
    difference = thumbnails(images, 8).astype(int) - thumbnails(1e-20 * images, 8).astype(int)
    assert np.abs(difference).max() <= 1
