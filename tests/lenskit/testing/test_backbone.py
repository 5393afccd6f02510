"""Contract of backbones: each test finds its planted fault."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lenskit.plugin import Backbone, UsageError
from tests.lenskit.testing.planted import Planted, check_complete, check_found, faults, planted, sound

KIND = "backbone"


@sound(KIND, "is a linear layer", options={"width": 8})
class Plain(Backbone):
    """Sound backbone: a linear layer.

    Args:
        width: Length of the feature vector.
    """

    def __init__(self, channels: int, size: int, *, width: int = 4) -> None:
        super().__init__(channels, size)
        self.features = width
        self.layer = nn.Linear(channels * size * size, width)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images.flatten(1))


@sound(KIND, "accepts multiples of 14 pixels")
class Patches(Plain):
    """Sound backbone that accepts some sizes."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__(channels, size)
        if size % 14:
            raise UsageError(f"images have a multiple of 14 pixels, got {size}")

    @classmethod
    def nearest_size(cls, size: int, **options: Any) -> int:
        return max(14, 14 * round(size / 14))


@sound(KIND, "has no weights")
class Moments(Backbone):
    """Sound backbone without weights: mean and standard deviation of the pixels."""

    features = 2

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([images.flatten(1).mean(1), images.flatten(1).std(1)], 1)


@planted(KIND, "the summary is one line", "has an empty summary", "has an empty summary", at=None, summary=" ")
@planted(KIND, "the summary is one line", "has a long summary", "summary of 120 characters", at=None, summary="a" * 120)
class Summarised(Plain):
    pass


@planted(KIND, "the docstring describes it", "has no docstring", "has no docstring: add one")
class Silent(Plain):
    pass


@planted(KIND, "options have a meaning", "does not describe an option", "has the option 'depth' without a meaning")
class Undescribed(Plain):
    def __init__(self, channels: int, size: int, *, depth: int = 1) -> None:
        super().__init__(channels, size)


@planted(KIND, "options have a type", "does not annotate an option", "has the option 'width' without", at="__init__")
class Untyped(Plain):
    def __init__(self, channels: int, size: int, *, width=4) -> None:
        super().__init__(channels, size, width=width)


@planted(KIND, "options are plain values", "has a list with None", "that TOML cannot hold ... use numbers")
class Objects(Plain):
    """Backbone with an option that TOML cannot hold.

    Args:
        layer: List with None.
    """

    def __init__(self, channels: int, size: int, *, layer: list[int | None] = [None]) -> None:  # noqa: B006
        super().__init__(channels, size)


@planted(KIND, "it passes the checks at first use", "does not pass on channels", "has no channels = 1", at="forward")
class Orphan(Plain):
    def __init__(self, channels: int, size: int) -> None:
        nn.Module.__init__(self)
        self.features, self.layer = 4, nn.Linear(channels * size * size, 4)


@planted(KIND, "it passes the checks at first use", "returns a map", "gives features of shape 2 x 4 x 1", at="forward")
class Map(Plain):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images)[:, :, None]


@planted(KIND, "features differ between images", "ignores the images", "gives all images the same", at="forward")
class Blind(Plain):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(torch.ones_like(images))


@planted(KIND, "other channels are accepted", "reads the first channel only", "images of 3 channels", at="forward")
class Grey(Plain):
    def __init__(self, channels: int, size: int) -> None:
        super().__init__(channels, size)
        self.layer = nn.Linear(size * size, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images.flatten(0, 1).flatten(1))


@planted(
    KIND, "other channels are accepted", "is built for one channel", "fails on images of 3 channels: ... Use `channels`"
)
class OneChannel(Plain):
    def __init__(self, channels: int, size: int) -> None:
        super().__init__(channels, size)
        self.layer = nn.Linear(size * size, 4)


@planted(KIND, "weights can be reloaded", "keeps a random matrix as an attribute", "gives other features after its")
class Forgetful(Plain):
    def __init__(self, channels: int, size: int) -> None:
        super().__init__(channels, size)
        self.projection = torch.randn(4, 4)

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) @ self.projection


@planted(KIND, "the seed determines the initial weights", "seeds its weights itself", "has other initial weights")
class Unseeded(Plain):
    def __init__(self, channels: int, size: int) -> None:
        super().__init__(channels, size)
        own = torch.Generator()
        own.seed()
        with torch.no_grad():
            self.layer.weight.normal_(0, 0.1, generator=own)


@planted(KIND, "every weight has a gradient", "has a layer that it does not use", "do not depend on", at="forward")
class Idle(Plain):
    def __init__(self, channels: int, size: int) -> None:
        super().__init__(channels, size)
        self.unused = nn.Linear(2, 2)


@planted(
    KIND,
    "tensors are on the device of the images",
    "adds a tensor on the CPU",
    "cannot run on a GPU: ... Register constants with",
    at="forward",
)
class OnTheCpu(Plain):
    def __init__(self, channels: int, size: int) -> None:
        super().__init__(channels, size)
        self.mean = torch.full((channels, size, size), 0.5)

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images - self.mean)


@planted(KIND, "the nearest size is accepted", "names a size that it refuses", "refuses the size", at="nearest_size")
class Contrary(Patches):
    @classmethod
    def nearest_size(cls, size: int, **options: Any) -> int:
        return 16 * round(size / 16)


@pytest.mark.parametrize("fault", faults(KIND), ids=str)
def test_a_planted_fault_is_found(fault: Planted) -> None:
    check_found(fault)


def test_the_table_is_complete() -> None:
    check_complete(KIND)
