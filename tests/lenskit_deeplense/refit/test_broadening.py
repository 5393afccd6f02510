"""Convolution with a Gaussian: widths add in quadrature; the derivative is right."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lenskit_deeplense.refit.broadening import broadened, broadening

SIGMAS = st.floats(0, 1.2)


def blob(width: float, pixels: int = 41) -> torch.Tensor:
    """Return a Gaussian with unit sum in the middle of the image."""
    axis = torch.arange(pixels, dtype=torch.float64) - pixels // 2
    return torch.exp(-(axis**2 + axis[:, None] ** 2) / (2 * width**2)) / (2 * torch.pi * width**2)


@settings(max_examples=25, deadline=None)
@given(st.floats(1.5, 3), SIGMAS)
def test_variances_add(width: float, sigma: float) -> None:
    found = broadened(blob(width)[None, None], torch.tensor([sigma], dtype=torch.float64))[0, 0]
    torch.testing.assert_close(found, blob((width**2 + sigma**2) ** 0.5), rtol=0, atol=2e-5)


@settings(max_examples=25, deadline=None)
@given(SIGMAS)
def test_an_even_image_stays(sigma: float) -> None:
    images = torch.full((1, 2, 20, 20), 3.0, dtype=torch.float64)
    torch.testing.assert_close(broadened(images, torch.tensor([sigma], dtype=torch.float64)), images)


def test_the_derivative_is_that_of_a_difference() -> None:
    images = torch.randn(3, 2, 15, 15, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    sigma = torch.tensor([0.0, 0.4, 1.0], dtype=torch.float64)
    step = 1e-6
    expected = (broadened(images, sigma + step) - broadened(images, sigma - step)) / (2 * step)
    torch.testing.assert_close(broadening(images, sigma), expected, rtol=1e-6, atol=1e-8)
