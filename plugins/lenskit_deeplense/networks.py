"""DeepLense's convolutional encoder and decoder, for images of any size.

The paper (Alexander et al. 2020, https://arxiv.org/abs/2008.12731) defines them for 150 x 150 pixels. For other sizes,
the strides are chosen so that the last layer of the encoder has a size near 9 x 9. The last two kernels of the decoder
are chosen so that its output has the size of the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from lenskit.plugin import Backbone, UsageError

KERNEL = 7
WIDTHS = (16, 32, 64)

MAP = 9
"""Height and width of the encoder's last layer in the paper."""

SMALLEST = 3 * (KERNEL - 1) + 1 - 2 * 2
"""Smallest height and width in pixels: three kernels leave one pixel; two convolutions pad by one on each side."""

STRIDES = (1, 2, 3, 4, 5)
"""Allowed strides. Larger strides would leave gaps between the decoder's kernels."""


@dataclass(frozen=True)
class Shape:
    """Sizes and strides of the three layers for one image size.

    Attributes:
        strides: Strides of the first and the second convolution; the third has stride 1.
        sizes: Height and width of the image and after each convolution.
    """

    strides: tuple[int, int]
    sizes: tuple[int, int, int, int]

    @property
    def features(self) -> int:
        """Length of the last layer, flattened."""
        return WIDTHS[-1] * self.sizes[-1] ** 2


def shape_for(size: int) -> Shape:
    """Return the sizes and strides whose last layer is nearest to 9 x 9.

    The two strides are equal, or the first is larger by one. Images of 150 pixels have strides 3 and 3.

    Args:
        size: Height and width of the images in pixels.

    Raises:
        UsageError: The images are too small.
    """
    shapes = [_shape(size, (s, t)) for s in STRIDES for t in STRIDES if t in (s - 1, s)]
    fitting = [shape for shape in shapes if shape.sizes[-1] > 0]
    if not fitting:
        raise UsageError(
            f"images of {size} pixels are too small for DeepLense's three convolutions of {KERNEL} x {KERNEL}: "
            f"use {SMALLEST} pixels or more (--set input.size=N)"
        )
    return min(fitting, key=lambda shape: abs(shape.sizes[-1] - MAP))


def _shape(size: int, strides: tuple[int, int]) -> Shape:
    first = (size + 2 - KERNEL) // strides[0] + 1
    second = (first + 2 - KERNEL) // strides[1] + 1
    return Shape(strides, (size, first, second, second + 1 - KERNEL))


def _back(inside: int, outside: int, size: int, stride: int) -> nn.ConvTranspose2d:
    """Return the transposed convolution that undoes the size of a strided one.

    Its output has the size `size`. The kernel is larger by the rows that the stride left over, and smaller by the
    output padding. In the paper, the kernels are 7 and 6.
    """
    left_over = (size + 2 - KERNEL) % stride
    padding = min(2, stride - 1)
    return nn.ConvTranspose2d(inside, outside, KERNEL + left_over - padding, stride, padding=1, output_padding=padding)


class DeepLenseConv(Backbone):
    """Three convolutions of 16, 32 and 64 channels, flattened.

    Images of 150 x 150 pixels give 5184 features.

    Args:
        channels: Number of channels of the images.
        size: Height and width of the images in pixels, 15 or more.
        last_relu: Whether a ReLU follows the third convolution too (in `dcae` it does not).

    Raises:
        UsageError: The images are too small.
    """

    def __init__(self, channels: int, size: int, *, last_relu: bool = True) -> None:
        super().__init__(channels, size)
        shape = shape_for(size)
        self.features = shape.features
        (a, b, c), (first, second) = WIDTHS, shape.strides
        self.network = nn.Sequential(
            nn.Conv2d(channels, a, KERNEL, first, padding=1),
            nn.ReLU(),
            nn.Conv2d(a, b, KERNEL, second, padding=1),
            nn.ReLU(),
            nn.Conv2d(b, c, KERNEL),
            nn.ReLU() if last_relu else nn.Identity(),
            nn.Flatten(),
        )

    @classmethod
    def nearest_size(cls, size: int, **options: Any) -> int:
        return max(size, SMALLEST)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, channels, size, size) to features (n, `features`)."""
        return self.network(images)


class Decoder(nn.Module):
    """Decoder: a linear layer and three transposed convolutions, the last with a tanh.

    Args:
        latent_dim: Length of the latent vector.
        channels: Number of channels of the images.
        size: Height and width of the images in pixels, 15 or more.

    Raises:
        UsageError: The images are too small.
    """

    def __init__(self, latent_dim: int, channels: int, size: int) -> None:
        super().__init__()
        shape = shape_for(size)
        (a, b, c), (first, second), (size, between, _, side) = WIDTHS, shape.strides, shape.sizes
        self.network = nn.Sequential(
            nn.Linear(latent_dim, shape.features),
            nn.Unflatten(1, (c, side, side)),
            nn.ConvTranspose2d(c, b, KERNEL),
            nn.ReLU(),
            _back(b, a, between, second),
            nn.ReLU(),
            _back(a, channels, size, first),
            nn.Tanh(),
        )

    def forward(self, latent: Tensor) -> Tensor:
        """Map latent vectors (n, latent_dim) to images with values from -1 to 1.

        The images have the shape (n, channels, size, size).
        """
        return self.network(latent)
