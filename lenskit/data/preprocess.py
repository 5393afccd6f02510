"""What is done to an image before a network sees it: the same for simulated and real ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MAD_TO_SIGMA = 1.4826
"""A normal distribution's standard deviation over its median absolute deviation."""


def border_noise(images: Tensor) -> Tensor:
    """The noise of each channel: the median absolute deviation of its border pixels, scaled to a standard deviation.

    Args:
        images: (..., H, W).

    Returns:
        (..., 1, 1), never zero.
    """
    border = torch.cat([images[..., 0, :], images[..., -1, :], images[..., 1:-1, 0], images[..., 1:-1, -1]], dim=-1)
    # Not torch's median, which takes the lower of the two values in the middle: 3 % too low for 128 pixels.
    median = border.quantile(0.5, dim=-1, keepdim=True)
    sigma = MAD_TO_SIGMA * (border - median).abs().quantile(0.5, dim=-1, keepdim=True)
    # A border without any noise (a simulated image, or a real one filled with a constant) falls back on the peak.
    peak = images.abs().flatten(-2).amax(-1, keepdim=True)
    return torch.where(sigma > 0, sigma, 1e-3 * peak).clamp(min=torch.finfo(images.dtype).tiny)[..., None]


class Preprocess(nn.Module):
    """Stretches images and resizes them.

    Args:
        stretch: `asinh` for asinh(x / 3 sigma), with sigma the noise of the border (the scale, and so the unit, drops
            out); `linear` for the values as they are.
        size: Height and width in pixels that come out, or None to leave them.
    """

    def __init__(self, stretch: str = "asinh", size: int | None = None) -> None:
        super().__init__()
        self.stretch, self.size = stretch, size

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, C, H, W) to (n, C, size, size)."""
        if self.stretch == "asinh":
            images = (images / (3 * border_noise(images))).asinh()
        if self.size is not None and images.shape[-2:] != (self.size, self.size):
            images = F.interpolate(images, (self.size, self.size), mode="bilinear", antialias=True)
        return images
