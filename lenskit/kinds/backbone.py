"""Base class of backbones, networks from images to feature vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

STEPS = (4, 7, 14, 16, 32)
"""Steps in pixels: a network often accepts only multiples of one of these."""

USUAL = (8, 16, 32, 48, 64, 96, 128, 224)
"""Sizes in pixels that networks with a minimum or a fixed size often accept."""


def sizes_near(size: int, *also: int) -> list[int]:
    """Return sizes that a network may accept, the nearest to `size` first.

    Of two equally near sizes, the larger comes first.

    Args:
        size: Height and width in pixels. It is the first size returned.
        also: Further sizes to include, such as the size that a network was designed for.

    Returns:
        `size`, then sizes of 8 pixels or more: for each of 4, 7, 14, 16 and 32 the multiples below and above `size`,
        and usual sizes up to 224.
    """
    multiples = {size // step * step + above for step in STEPS for above in (0, step)}
    others = {near for near in {*multiples, *USUAL, *also} if near >= 8} - {size}
    return [size, *sorted(others, key=lambda near: (abs(near - size), -near))]


class Backbone(nn.Module):
    """Network from images to feature vectors.

    A subclass is constructed as `Backbone(channels, size, *, options)` and sets `features`. A network that accepts only
    some sizes also implements `nearest_size`.

    Args:
        channels: Number of channels of the images.
        size: Height and width of the images in pixels.
    """

    features: int
    """Length of the feature vector."""

    channels: int
    """Number of channels of the images."""

    start_options: ClassVar[frozenset[str]] = frozenset({"pretrained", "weights"})
    """Options that choose the initial weights. They are not needed to load a trained backbone or to start from random
    weights."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.channels, self.size = channels, size

    def forward(self, images: Tensor) -> Tensor:
        """Return the features (n, `features`) of images (n, channels, height, width)."""
        raise NotImplementedError

    @classmethod
    def nearest_size(cls, size: int, **options: Any) -> int:
        """Return the size nearest to `size` that the network accepts; by default `size`.

        Unless `input.size` is set, a run resizes images to the returned size. If a network does not implement this
        method, and refuses a size with a `UsageError` or a `RuntimeError`, the sizes of `sizes_near` are tried.

        Args:
            size: Height and width of the images in pixels.
            options: Options of the constructor.
        """
        return size

    def as_timm(self) -> tuple[nn.Module, Sequence[str]] | None:
        """Return this network as a model of timm, for `lenskit export`.

        Returns:
            The timm model with the same weights, and lines of Python that adapt the `model` that `timm.create_model`
            returns for its architecture (usually no lines). None if timm has no equivalent model.
        """
        return None
