"""Backbone whose features are the hidden units of a restricted Boltzmann machine."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge
from torch import Tensor, nn

from lenskit.plugin import Backbone, at_most


class RBMHidden(Backbone):
    """One layer of sigmoid units that see all pixels.

    The features are the probabilities that the units are on.

    Args:
        channels: Number of channels of the images.
        size: Height and width of the images in pixels.
        hidden: Number of units (authors' code: 1000).
    """

    def __init__(self, channels: int, size: int, *, hidden: Annotated[int, Ge(1), at_most(10**6)] = 1000) -> None:
        super().__init__(channels, size)
        self.visible, self.features = channels * size**2, hidden
        self.layer = nn.Linear(self.visible, hidden)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images.flatten(1)).sigmoid()
