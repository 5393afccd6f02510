"""Blurring against scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import convolve2d

from lenskit_lensing.render.convolution import Convolver

torch.set_num_threads(1)


def example(n: int, channels: int, pixels: int, kernel: int, dtype: torch.dtype = torch.float64, psfs: int = 3):
    """Asymmetric PSFs, images of very different brightness, and the PSF of each image."""
    rng = torch.Generator().manual_seed(n + 10 * channels + 100 * pixels + 1000 * kernel)
    kernels = torch.rand(psfs, kernel, kernel, generator=rng, dtype=torch.float64)
    images = torch.rand(n, channels, pixels, pixels, generator=rng, dtype=torch.float64)
    images *= 10 ** torch.linspace(-6, 6, n * channels, dtype=torch.float64).view(n, channels, 1, 1)
    psf = torch.randint(psfs, (n, channels), generator=rng)
    return kernels / kernels.sum((1, 2), keepdim=True), images.to(dtype), psf


def by_scipy(kernels: torch.Tensor, images: torch.Tensor, psf: torch.Tensor) -> torch.Tensor:
    rows = [
        [convolve2d(image.double(), kernels[k], mode="same") for image, k in zip(row, psf_row, strict=True)]
        for row, psf_row in zip(images, psf.tolist(), strict=True)
    ]
    return torch.from_numpy(np.array(rows))


def largest_error(found: torch.Tensor, exact: torch.Tensor) -> float:
    """Return the largest error relative to an image's peak."""
    return float(((found.double() - exact).abs().amax((2, 3)) / exact.amax((2, 3))).max())


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-13)])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_one_psf_an_image(dtype: torch.dtype, tolerance: float, channels: int) -> None:
    kernels, images, psf = example(3, channels, 30, 9, dtype)
    psf = psf[:, :1]
    found = Convolver(kernels.to(dtype), 30)(images, psf[:, 0])
    assert found.shape == images.shape
    assert found.dtype == dtype
    assert largest_error(found, by_scipy(kernels, images, psf.expand(-1, channels))) < tolerance


def test_one_psf_a_channel() -> None:
    kernels, images, psf = example(2, 3, 20, 7)
    assert largest_error(Convolver(kernels, 20)(images, psf), by_scipy(kernels, images, psf)) < 1e-13


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(pixels=st.integers(1, 40), half=st.integers(0, 25))
def test_kernels_and_frames_of_any_size(pixels: int, half: int) -> None:
    """A kernel may be larger than the frame."""
    kernels, images, psf = example(2, 2, pixels, 2 * half + 1)
    found = Convolver(kernels, pixels)(images, psf[:, 0])
    kernel = kernels.numpy()[psf[:, 0]]
    for image, blurred, k in zip(images.flatten(0, 1), found.flatten(0, 1), kernel.repeat(2, 0), strict=True):
        # scipy's "same" has the size of the larger input: cut the middle out of the full result.
        exact = torch.from_numpy(convolve2d(image, k)[half : half + pixels, half : half + pixels])
        assert (blurred - exact).abs().max() < 1e-13 * image.amax()


def test_dark_images_stay_dark_and_none_is_fine() -> None:
    kernels, images, psf = example(2, 2, 16, 5)
    images[0, 1] = 0
    convolve = Convolver(kernels, 16)
    assert convolve(images, psf[:, 0])[0, 1].abs().max() < 1e-10
    assert convolve(images[:0], psf[:0, 0]).shape == (0, 2, 16, 16)


def test_gradients() -> None:
    kernels, images, psf = example(1, 3, 6, 3)
    convolve = Convolver(kernels, 6)
    images = (images / images.amax()).requires_grad_()
    assert torch.autograd.gradcheck(lambda images: convolve(images, psf[:, 0]), images)
