"""Backbones: what turns an image into a feature vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

STEPS = (4, 7, 14, 16, 32)
"""Pixels of which the sizes that networks take are multiples."""

USUAL = (8, 16, 32, 48, 64, 96, 128, 224)
"""Sizes in pixels that networks with a smallest or a fixed size take."""


def sizes_near(size: int, *also: int) -> list[int]:
    """Return sizes that a network may take, the nearest to `size` first; of two equally near, the larger one first.

    Args:
        size: Height and width in pixels. It is the first.
        also: Further sizes to name, such as the one that a network was made for.

    Returns:
        Sizes of 8 pixels or more: the two multiples about `size` of 4, 7, 14, 16 and 32, and usual sizes up to 224.
    """
    multiples = {size // step * step + above for step in STEPS for above in (0, step)}
    others = {near for near in {*multiples, *USUAL, *also} if near >= 8} - {size}
    return [size, *sorted(others, key=lambda near: (abs(near - size), -near))]


class Backbone(nn.Module):
    """A network from images to feature vectors.

    A subclass is constructed as `Backbone(channels, size, *, options)` and sets `features`. A network that takes only
    some sizes also implements `nearest_size`.

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

    @classmethod
    def nearest_size(cls, size: int, **options: Any) -> int:
        """Return the size nearest to `size` that the network takes; by default `size` itself.

        Unless `input.size` is set, a run resizes its images to it. A network that does not implement this method, and
        refuses a size by a `UsageError` or a `RuntimeError`, is tried at the sizes of `sizes_near`.

        Args:
            size: Height and width of the images in pixels.
            options: Options of the constructor.
        """
        return size

    def as_timm(self) -> tuple[nn.Module, Sequence[str]] | None:
        """This network as a model of timm, for `lenskit export`; None if timm has none like it.

        Returns:
            The model with the same weights, and the lines of Python that make it of the `model` that
            `timm.create_model` gives for its architecture: mostly none.
        """
        return None
