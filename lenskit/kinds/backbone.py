"""Backbones: what turns an image into a feature vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn


class Backbone(nn.Module):
    """A network from images to feature vectors.

    A subclass is constructed as `Backbone(channels, size, *, options)` and sets `features`.

    Args:
        channels: Number of channels of the images.
        size: Height and width of the images in pixels.
    """

    features: int
    """Length of the feature vector."""

    channels: int
    """Number of image channels it takes."""

    start_options: ClassVar[frozenset[str]] = frozenset({"pretrained", "weights"})
    """Options that say which weights to start from: not needed to load a trained backbone, or a random one."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.channels, self.size = channels, size

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, channels, height, width) to features (n, `features`)."""
        raise NotImplementedError

    def as_timm(self) -> tuple[nn.Module, Sequence[str]] | None:
        """This network as a model of timm, for `lenskit export`; None if timm has none like it.

        Returns:
            The model with the same weights, and the lines of Python that make it of the `model` that
            `timm.create_model` gives for its architecture: mostly none.
        """
        return None
