"""Rotation of images by any angle, without a change of their noise."""

from __future__ import annotations

import math

import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn import functional as F

from lenskit_lensing.mass.coordinates import columns

MARGIN = 12
"""Pixels on each side, outside the diagonal of the image, in which a frame fades out: shifts of rows are periodic."""


def frame_for(pixels: int) -> int:
    """Return the side of the frame for rotating an image; even if `pixels` is."""
    size = pixels + 2 * math.ceil((math.sqrt(2) - 1) * pixels / 2 + MARGIN)
    while next_fast_len(size | 1) != size | 1:
        size += 2
    return size


def turned(images: Tensor, angle: Tensor, x: Tensor, y: Tensor, pixels: int) -> Tensor:
    """Rotate images about the centre of the frame and shift them.

    A rotation is three shears, and a shear shifts each row or column by a phase in Fourier space (Unser, Thevenaz &
    Yaroslavsky 1995, https://doi.org/10.1109/83.469937). A phase preserves power, so white noise stays white with the
    same standard deviation. Bilinear interpolation would smooth it.

    Args:
        images: (n, size, size) with `size` at least `pixels`, and even if `pixels` is even. An image that does not fill
            the corners is mirrored at its borders.
        angle: (n,) in radians from +x towards +y, between -pi/4 and pi/4.
        x: (n,) shift in pixels after the rotation.
        y: (n,) shift in pixels after the rotation.
        pixels: Height and width of the result.

    Returns:
        (n, pixels, pixels).
    """
    size = frame_for(pixels)
    images = framed(images, size)
    # The length is odd, because a shift by half a pixel would remove the highest frequency of an even length.
    extra = 1 - size % 2
    images = _faded(F.pad(images[:, None], (0, extra, 0, extra), mode="replicate")[:, 0])
    cos, sin = angle.cos(), angle.sin()
    half = (angle / 2).tan()
    # Where the pixel at p comes from: R(-angle) (p - shift) is R(-angle) p + (from_x, from_y).
    from_x, from_y = -(cos * x + sin * y), sin * x - cos * y
    axis = torch.arange(size + extra, dtype=images.dtype, device=images.device) - (size - 1) / 2
    (half, sin), (first, second) = columns(half, sin), columns(from_x - half * from_y, from_y)
    half, sin, first, second = (values[..., 0] for values in (half, sin, first, second))
    images = _shifted(images, half * axis + first)
    images = _shifted(images.mT, second - sin * axis).mT
    return framed(_shifted(images, half * axis)[:, :size, :size], pixels)


def _faded(images: Tensor) -> Tensor:
    """Fade images (n, size, size) to their mean within `MARGIN` pixels of the border."""
    size = images.shape[-1]
    axis = torch.arange(size, dtype=images.dtype, device=images.device)
    from_border = (torch.minimum(axis, size - 1 - axis) / MARGIN).clamp(max=1)
    weight = (1 - (math.pi * from_border).cos()) / 2
    mean = images.mean((1, 2), keepdim=True)
    return mean + (images - mean) * weight * weight[:, None]


def _shifted(images: Tensor, shift: Tensor) -> Tensor:
    """Shift the rows of images (n, size, size) periodically by (n, size) pixels."""
    size = images.shape[-1]
    frequency = torch.fft.rfftfreq(size, dtype=shift.dtype, device=shift.device)
    phase = 2 * math.pi * shift[..., None] * frequency
    return torch.fft.irfft(torch.fft.rfft(images) * torch.polar(torch.ones_like(phase), phase), n=size)


def framed(images: Tensor, size: int) -> Tensor:
    """Crop the centre of images, or mirror small images at their borders.

    Args:
        images: (n, height, width).
        size: Height and width of the result.

    Returns:
        (n, size, size).
    """
    for side in (-1, -2):
        excess = images.shape[side] - size
        if excess > 0:
            images = images.narrow(side, excess // 2, size)
    while min(images.shape[-2:]) < size:  # repeated for very small images, because a mirror adds at most their size
        y, x = (min((size - length) // 2, length - 1) for length in images.shape[-2:])
        images = F.pad(images[:, None], (x, x, y, y), mode="reflect")[:, 0]
    return images
