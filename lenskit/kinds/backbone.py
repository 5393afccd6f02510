"""Backbones: what turns an image into a feature vector."""

from __future__ import annotations

from torch import Tensor, nn


class Backbone(nn.Module):
    """A network from images to feature vectors.

    A subclass is constructed as `Backbone(channels, size, *, options)` and sets `features`.
    """

    features: int
    """Length of the feature vector."""

    channels: int
    """Number of image channels it takes."""

    def __init__(self, channels: int, size: int) -> None:
        """Args:
        channels: Number of channels of the images.
        size: Height and width of the images in pixels.
        """
        super().__init__()
        self.channels, self.size = channels, size

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, channels, height, width) to features (n, `features`)."""
        raise NotImplementedError
