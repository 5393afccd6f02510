"""Pair strategy with speckle noise."""

from typing import Annotated

import torch
from annotated_types import Gt
from lenskit.plugin import Transform


class PinnedPairs(Transform):
    """Add speckle to each view: noise proportional to the brightness.

    Args:
        sigma: Standard deviation of the noise, relative to the stretched image.
    """

    def __init__(self, *, sigma: Annotated[float, Gt(0)] = 0.1) -> None:
        self.sigma = sigma

    def transform(self, images, parameters, rng):       # (n, views, channels, height, width)
        noise = [rng.noise(f"noise/{view}", *images.shape[2:]) for view in range(images.shape[1])]
        return images * (1 + self.sigma * torch.stack(noise, 1)), parameters
