"""Tests of zoomed copies of images."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

torch.set_num_threads(1)

SCRIPT = "zooms"


def gaussian(pixels: int, sigma: float) -> Tensor:
    """Return an image (1, 1, pixels, pixels) of a round Gaussian at the centre."""
    axis = torch.arange(pixels) - (pixels - 1) / 2
    return (-(axis**2 + axis[:, None] ** 2) / (2 * sigma**2)).exp()[None, None]


@pytest.mark.parametrize("zoom", [0.9, 1.1])
@pytest.mark.parametrize("pixels", [40, 41])
def test_a_zoomed_gaussian_is_wider_by_the_zoom(example: Any, zoom: float, pixels: int) -> None:
    found = example.zoomed(gaussian(pixels + 6, 5.0), zoom, pixels)
    torch.testing.assert_close(found, gaussian(pixels, 5.0 * zoom), atol=3e-3, rtol=0)


def test_without_a_zoom_the_pixels_stay(example: Any) -> None:
    images = torch.randn(2, 3, 47, 47, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(example.zoomed(images, 1.0, 41), images[..., 3:44, 3:44], atol=1e-4, rtol=0)
