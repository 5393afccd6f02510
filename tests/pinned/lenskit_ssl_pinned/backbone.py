"""Small convolutional network."""

from typing import Annotated

from annotated_types import Gt
from lenskit.plugin import Backbone
from torch import nn


class PinnedBackbone(Backbone):
    """Three convolutions with batch norm, and the mean over all pixels.

    Args:
        width: Channels of the first convolution. The length of the features is four times the width.
    """

    def __init__(self, channels: int, size: int, *, width: Annotated[int, Gt(0)] = 16) -> None:
        super().__init__(channels, size)
        self.features = 4 * width
        widths = (channels, width, 2 * width, 4 * width)
        layers = []
        for before, after in zip(widths, widths[1:]):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, images):                          # (n, channels, height, width) to (n, features)
        return self.body(images)
