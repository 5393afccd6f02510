"""Noise of the residuals of fitted lens models, and chi-square on the arcs."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d


def binned_chi2(residual: Tensor, variance: Tensor, arc: Tensor, *, bin: int, fraction: float) -> Tensor:
    """Return the mean over bins with arc light of squared residual over variance.

    Substructure moves an arc by less than the noise of a pixel, but by similar amounts in neighbouring pixels. The mean
    of a bin has less noise and keeps this signal.

    Args:
        residual: (n, pixels, pixels), image minus model.
        variance: Variance of the noise, the same shape.
        arc: The model's lensed light, the same shape.
        bin: Width of a bin in pixels.
        fraction: Smallest brightness of the arc in a bin that counts, as a fraction of the brightest bin.

    Returns:
        (n,); 1 on average if residuals are noise.
    """
    residual, variance, arc = (avg_pool2d(each[:, None], bin)[:, 0] for each in (residual, variance, arc.abs()))
    bright = arc >= fraction * arc.amax((1, 2), keepdim=True)
    ratio = residual.square() * bin**2 / variance
    return torch.where(bright, ratio, 0).sum((1, 2)) / bright.sum((1, 2))


def estimated_variance(residual: Tensor, light: Tensor) -> Tensor:
    """Return the variance of the noise as a linear function of the model's light.

    The function is fitted to the residual. Differences of neighbouring pixels contain the noise of both pixels and
    little else. Their squares are fitted by least squares three times: first with equal weights, then twice with the
    inverse squared variance of the last fit as weights.

    Args:
        residual: (n, pixels, pixels), image minus model.
        light: The model's light without offset, the same shape.

    Returns:
        Positive variances of the same shape.
    """
    pairs = [(slice(None), slice(1, None), slice(None)), (slice(None), slice(None), slice(1, None))]
    firsts = [(slice(None), slice(None, -1), slice(None)), (slice(None), slice(None), slice(None, -1))]
    light = light.clamp(min=0)
    square, between = [], []
    for second, first in zip(pairs, firsts, strict=True):
        square.append(((residual[second] - residual[first]).square() / 2).flatten(1))
        between.append(((light[second] + light[first]) / 2).flatten(1))
    y, x = torch.cat(square, 1).double(), torch.cat(between, 1).double()
    floor = y.mean(1, keepdim=True) * 1e-3 + torch.finfo(torch.float32).tiny
    variance = y.mean(1, keepdim=True).expand_as(y)
    for _ in range(3):
        weight = variance.clamp(min=floor) ** -2
        total = weight.sum(1, keepdim=True)
        mean_x, mean_y = ((weight * each).sum(1, keepdim=True) / total for each in (x, y))
        spread = (weight * (x - mean_x).square()).sum(1, keepdim=True)
        slope = ((weight * (x - mean_x) * (y - mean_y)).sum(1, keepdim=True) / spread.clamp(min=1e-300)).clamp(min=0)
        base = mean_y - slope * mean_x
        base = torch.where(base > 0, base, floor)
        variance = base + slope * x
    estimate = base[:, :, None] + slope[:, :, None] * light.double()
    return estimate.to(residual.dtype)
