"""Convolution of images with a Gaussian whose width is fitted."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

MARGIN = 8
"""Width of the border of repeated pixels around an image, at least five standard deviations, so that no light wraps
around."""


def broadened(images: Tensor, sigma: Tensor) -> Tensor:
    """Return images convolved with a round Gaussian.

    Args:
        images: (n, c, pixels, pixels).
        sigma: (n,) standard deviations in pixels; the sign does not matter.
    """
    return _filtered(images, sigma, derivative=False)


def broadening(images: Tensor, sigma: Tensor) -> Tensor:
    """Return the derivative of `broadened` with respect to the standard deviation.

    It has the shape of the images.
    """
    return _filtered(images, sigma, derivative=True)


def _filtered(images: Tensor, sigma: Tensor, derivative: bool) -> Tensor:
    padded = pad(images, (MARGIN, MARGIN, MARGIN, MARGIN), mode="replicate")
    size = padded.shape[-1]
    of_rows = 2 * math.pi * torch.fft.fftfreq(size, dtype=images.dtype, device=images.device)
    of_columns = 2 * math.pi * torch.fft.rfftfreq(size, dtype=images.dtype, device=images.device)
    square = of_rows[:, None] ** 2 + of_columns**2
    width = sigma[:, None, None, None]
    transfer = torch.exp(-0.5 * square * width**2)
    if derivative:
        transfer = -square * width * transfer
    filtered = torch.fft.irfft2(torch.fft.rfft2(padded) * transfer, s=(size, size))
    return filtered[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
