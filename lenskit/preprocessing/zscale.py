"""The range of values that IRAF's zscale shows of an image: the faint end, most of it background.

The algorithm is that of astropy's `ZScaleInterval` (https://docs.astropy.org/en/stable/visualization/), for a batch of
images at once: a straight line is fitted to sorted samples of the pixels, samples far from it are left out and the fit
is repeated, and the slope, over `CONTRAST`, says how far from the median the limits lie. No step waits for a device.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SAMPLES, CONTRAST, ROUNDS, SIGMAS = 1000, 0.25, 5, 2.5
"""Pixels that are sampled of an image, the part of the sorted samples' slope that is kept, fits, and the distance from
the line, in standard deviations, beyond which a sample is left out."""

LEAST, KEPT, GROWN = 5, 0.5, 0.01
"""If fewer samples than this, or than this part of them, are left, the limits are those of the samples. The neighbours
of what is left out, this part of the samples, are left out too."""

FLAT = 1e-9
"""Limits that are no further apart than this part of the range of all values are one, but for rounding."""


def zscale_limits(images: Tensor) -> tuple[Tensor, Tensor]:
    """The lower and the upper limit of each channel.

    Args:
        images: (..., H, W), finite.

    Returns:
        (..., 1, 1) each, of the images' type.
    """
    pixels = images.flatten(-2)
    sorted_, _ = pixels[..., :: max(pixels.shape[-1] // SAMPLES, 1)][..., :SAMPLES].sort(-1)
    # About the median and in units of the range, where no square is too small for a float.
    samples = sorted_.double()
    n = samples.shape[-1]
    median = (samples[..., (n - 1) // 2] + samples[..., n // 2])[..., None] / 2
    low, high = samples[..., :1], samples[..., -1:]
    unit = torch.where(high > low, high - low, 1.0)
    slope, kept = _line((samples - median) / unit)
    slope, middle = slope * unit / CONTRAST, (n - 1) // 2
    fitted = kept >= max(LEAST, int(n * KEPT))
    lower = torch.where(fitted, torch.maximum(low, median - (middle - 1) * slope), low)
    upper = torch.where(fitted, torch.minimum(high, median + (n - middle) * slope), high)
    return lower[..., None].to(images.dtype), upper[..., None].to(images.dtype)


def zscale(images: Tensor) -> Tensor:
    """Images (..., H, W) between their limits, as 0 to 1; what is beyond is cut off.

    Where the limits are one, as of an image that has no noise, it is what lies between the smallest and the largest
    value; what is constant becomes 0.
    """
    lower, upper = zscale_limits(images)
    pixels = images.flatten(-2)
    least, largest = (values[..., None, None] for values in (pixels.amin(-1), pixels.amax(-1)))
    # In double precision, since what is faint may lie on a bright pedestal.
    lower, upper, least, largest = lower.double(), upper.double(), least.double(), largest.double()
    flat = upper - lower <= FLAT * (largest - least)
    lower, upper = torch.where(flat, least, lower), torch.where(flat, largest, upper)
    width = torch.where(upper > lower, upper - lower, 1.0)
    return ((images.double() - lower) / width).clamp(0, 1).to(images.dtype)


def _line(samples: Tensor) -> tuple[Tensor, Tensor]:
    """The slope (..., 1) of the line through sorted samples (..., n), and how many (..., 1) it was fitted to last.

    An image whose fit is done keeps its slope while others go on.
    """
    n = samples.shape[-1]
    x = torch.arange(n, device=samples.device, dtype=samples.dtype)
    good = torch.ones_like(samples)
    left = good.sum(-1, keepdim=True)
    before, slope = left + 1, torch.zeros_like(left)
    for _ in range(ROUNDS):
        active = (left < before) & (left >= max(LEAST, int(n * KEPT)))
        count = left.clamp(min=1)
        mean_x, mean = ((good * values).sum(-1, keepdim=True) / count for values in (x, samples))
        dx = good * (x - mean_x)
        new = (dx * samples).sum(-1, keepdim=True) / (dx * dx).sum(-1, keepdim=True).clamp(min=1)
        flat = samples - mean - new * (x - mean_x)
        # The mean of what is left is zero about its own line, and so is that of the residuals.
        threshold = SIGMAS * ((good * flat * flat).sum(-1, keepdim=True) / count).sqrt()
        bad = _grown((1 - good).bool() | (flat.abs() > threshold))
        slope, before = torch.where(active, new, slope), torch.where(active, left, before)
        good = torch.where(active, (~bad).to(good.dtype), good)
        left = good.sum(-1, keepdim=True)
    return slope, left


def _grown(bad: Tensor) -> Tensor:
    """What is bad (..., n), with its neighbours: those that numpy's `same` convolution with ones reaches."""
    width = max(1, int(bad.shape[-1] * GROWN))
    after = (width - 1) // 2
    marks = F.pad(bad.float().flatten(0, -2)[:, None], (width - 1 - after, after))
    return (F.max_pool1d(marks, width, stride=1) > 0)[:, 0].view(bad.shape)
