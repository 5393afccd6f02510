"""IRAF's zscale for batches of images: display limits around the background.

The algorithm is the same as in astropy's `ZScaleInterval` (https://docs.astropy.org/en/stable/visualization/), for a
batch of images at once. A straight line is fitted to sorted samples of the pixels. Samples far from the line are
rejected and the fit is repeated. The slope divided by `CONTRAST` determines the distance of the limits from the median.
No step makes the host wait for the device.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SAMPLES, CONTRAST, ROUNDS, SIGMAS = 1000, 0.25, 5, 2.5
"""Number of sampled pixels of an image, divisor of the slope, number of fits, and threshold for the distance from the
line in standard deviations, above which a sample is rejected."""

LEAST, KEPT, GROWN = 5, 0.5, 0.01
"""If fewer than `LEAST` samples, or less than the fraction `KEPT` of them, are left, the limits are the minimum and
maximum of the samples. Neighbours of rejected samples, in a window of the fraction `GROWN` of all samples, are rejected
too."""

FLAT = 1e-9
"""Limits are considered equal if their distance is at most this fraction of the range of all values."""


def zscale_limits(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the lower and upper zscale limit of each channel.

    Args:
        images: (..., H, W), finite.

    Returns:
        Lower and upper limits, (..., 1, 1) each, with the type of the images.
    """
    pixels = images.flatten(-2)
    sorted_, _ = pixels[..., :: max(pixels.shape[-1] // SAMPLES, 1)][..., :SAMPLES].sort(-1)
    # Relative to the median and in units of the range, so that no square underflows.
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
    """Map images (..., H, W) from their zscale limits to 0 to 1 and clip them.

    If the limits are equal, as for an image without noise, the range from the smallest to the largest value is mapped
    instead. A constant image becomes 0.
    """
    lower, upper = zscale_limits(images)
    pixels = images.flatten(-2)
    least, largest = (values[..., None, None] for values in (pixels.amin(-1), pixels.amax(-1)))
    # In double precision, because a faint signal may lie on a bright pedestal.
    lower, upper, least, largest = lower.double(), upper.double(), least.double(), largest.double()
    flat = upper - lower <= FLAT * (largest - least)
    lower, upper = torch.where(flat, least, lower), torch.where(flat, largest, upper)
    width = torch.where(upper > lower, upper - lower, 1.0)
    return ((images.double() - lower) / width).clamp(0, 1).to(images.dtype)


def _line(samples: Tensor) -> tuple[Tensor, Tensor]:
    """Fit a line to sorted samples (..., n) with rejection of outliers.

    An image whose fit has converged keeps its slope during further rounds.

    Returns:
        The slope (..., 1), and the number of samples (..., 1) left after the last rejection.
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
        # The residuals of the fitted samples have zero mean, so no mean is subtracted.
        threshold = SIGMAS * ((good * flat * flat).sum(-1, keepdim=True) / count).sqrt()
        bad = _grown((1 - good).bool() | (flat.abs() > threshold))
        slope, before = torch.where(active, new, slope), torch.where(active, left, before)
        good = torch.where(active, (~bad).to(good.dtype), good)
        left = good.sum(-1, keepdim=True)
    return slope, left


def _grown(bad: Tensor) -> Tensor:
    """Extend a mask (..., n) to neighbours, like numpy's `same` convolution."""
    width = max(1, int(bad.shape[-1] * GROWN))
    after = (width - 1) // 2
    marks = F.pad(bad.float().flatten(0, -2)[:, None], (width - 1 - after, after))
    return (F.max_pool1d(marks, width, stride=1) > 0)[:, 0].view(bad.shape)
