"""Contract of pair strategies: each test finds its planted fault."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import Tensor

from lenskit.plugin import Batch, KeyedGenerator, PairStrategy, Transform
from tests.lenskit.testing.planted import Planted, check_complete, check_found, faults, planted, sound

KIND = "pairs"
Values = dict[str, Tensor]


@sound(KIND, "mirrors one view")
class Twins(PairStrategy):
    """Sound pair strategy: two views of one rendering, one of them mirrored.

    Args:
        axis: Axis of the mirror, -1 or -2.
    """

    draws = 1
    views = 2

    def __init__(self, *, axis: int = -1) -> None:
        self.axis = axis

    def __call__(self, images: Tensor, parameters: Values, rng: KeyedGenerator) -> Batch:
        views = (images[:, 0], images[:, 0].flip(self.axis))
        return Batch(views, {name: value.expand(-1, 2) for name, value in parameters.items()}, rng.index)


@sound(KIND, "returns two renderings")
class Renderings(PairStrategy):
    """Sound pair strategy: two renderings, unchanged."""

    draws = 2
    views = 2


@sound(KIND, "dims each view", options={"low": 0.2})
class Darker(Transform):
    """Sound transform: dims each view by a random factor.

    Args:
        low: Smallest factor.
    """

    def __init__(self, *, low: float = 0.5) -> None:
        self.low = low

    def transform(self, images: Tensor, parameters: Values, rng: KeyedGenerator) -> tuple[Tensor, Values]:
        factors = self.low + (1 - self.low) * rng.uniform("factor", images.shape[1])
        return images * factors[:, :, None, None, None], parameters


@planted(KIND, "the summary is one line", "has an empty summary", "has an empty summary", at=None, summary=" ")
@planted(KIND, "the summary is one line", "has a long summary", "summary of 120 characters", at=None, summary="a" * 120)
class Summarised(Darker):
    pass


@planted(KIND, "the docstring describes it", "has no docstring", "has no docstring: add one")
class Silent(Darker):
    pass


@planted(KIND, "options have a meaning", "does not describe an option", "has the option 'power' without a meaning")
class Undescribed(Darker):
    def __init__(self, *, power: float = 1.0) -> None:
        super().__init__()


@planted(KIND, "options have a type", "does not annotate an option", "has the option 'low' without", at="__init__")
class Untyped(Darker):
    def __init__(self, *, low=0.5) -> None:
        super().__init__(low=low)


@planted(KIND, "options are plain values", "has a list with None", "that TOML cannot hold ... use numbers")
class Objects(Darker):
    """Transform with a list of options that may be None.

    Args:
        factors: Factor of each view.
    """

    def __init__(self, *, factors: tuple[float | None, ...] = (None,)) -> None:
        super().__init__()


@planted(KIND, "it passes the checks at first use", "states no number of draws", "states draws = None: it must be")
class NoDraws(Twins):
    draws = None  # type: ignore[assignment]


@planted(KIND, "it passes the checks at first use", "renumbers the lenses", "changes the numbers of", at="__call__")
class Renumbers(Twins):
    def __call__(self, images: Tensor, parameters: Values, rng: KeyedGenerator) -> Batch:
        batch = super().__call__(images, parameters, rng)
        return Batch(batch.views, batch.parameters, batch.index + 1)


@planted(
    KIND, "it passes the checks at first use", "shuffles the parameters", "different 'theta_E' alone", at="transform"
)
class ShufflesParameters(Darker):
    def transform(self, images: Tensor, parameters: Values, rng: KeyedGenerator) -> tuple[Tensor, Values]:
        images, parameters = super().transform(images, parameters, rng)
        return images, {name: value.flip(0) for name, value in parameters.items()}


@planted(KIND, "it returns the stated views", "makes three views, not two", "states 2 views but makes 3", at="__call__")
class Triplets(Twins):
    def __call__(self, images: Tensor, parameters: Values, rng: KeyedGenerator) -> Batch:
        batch = super().__call__(images, parameters, rng)
        return Batch((*batch.views, batch.views[0]), batch.parameters, batch.index)


@planted(KIND, "it returns the stated views", "divides by zero", "views with NaN or infinite pixels", at="transform")
class DividesByZero(Darker):
    def transform(self, images: Tensor, parameters: Values, rng: KeyedGenerator) -> tuple[Tensor, Values]:
        return super().transform(images / torch.zeros(()), parameters, rng)


@planted(KIND, "it returns the stated views", "makes double precision", "views of torch.float64 from", at="transform")
class Double(Darker):
    def transform(self, images: Tensor, parameters: Values, rng: KeyedGenerator) -> tuple[Tensor, Values]:
        return super().transform(images.double(), parameters, rng)


@planted(KIND, "it returns the stated views", "drops the parameters", "drops the parameters e1, e2", at="transform")
class Drops(Darker):
    def transform(self, images: Tensor, parameters: Values, rng: KeyedGenerator) -> tuple[Tensor, Values]:
        return super().transform(images, parameters, rng)[0], {}


@planted(KIND, "it returns the stated views", "adds a parameter of one view", "returns 'shift' of shape", at="__call__")
class AddsParameter(Twins):
    def __call__(self, images: Tensor, parameters: Values, rng: KeyedGenerator) -> Batch:
        batch = super().__call__(images, parameters, rng)
        return Batch(batch.views, batch.parameters | {"shift": torch.zeros(rng.n)}, rng.index)


@planted(
    KIND, "random numbers determine the views", "draws with Python's generator", "makes other views from the same",
    at="transform",
)  # fmt: skip
class PythonsGenerator(Darker):
    def transform(self, images: Tensor, parameters: Values, rng: KeyedGenerator) -> tuple[Tensor, Values]:
        return images * random.random(), parameters


@planted(
    KIND, "random numbers determine the views", "keeps a generator in its class", "makes other views from the same",
    at="__call__",
)  # fmt: skip
class OwnGenerator(Twins):
    own = np.random.default_rng(0)

    def __call__(self, images: Tensor, parameters: Values, rng: KeyedGenerator) -> Batch:
        return super().__call__(images * float(self.own.uniform()), parameters, rng)


@planted(KIND, "no global generator is used", "adds noise from torch", "the global generator of torch", at="transform")
class GlobalTorch(Darker):
    def transform(self, images: Tensor, parameters: Values, rng: KeyedGenerator) -> tuple[Tensor, Values]:
        return super().transform(images + torch.randn_like(images), parameters, rng)


@planted(KIND, "no global generator is used", "draws with numpy", "the global generator of numpy", at="__call__")
class GlobalNumpy(Twins):
    def __call__(self, images: Tensor, parameters: Values, rng: KeyedGenerator) -> Batch:
        return super().__call__(images * np.random.rand(), parameters, rng)


@planted(
    KIND, "neighbours in the batch do not matter", "standardises over the batch", "makes other views of a lens alone",
    at="transform",
)  # fmt: skip
class Standardises(Darker):
    def transform(self, images: Tensor, parameters: Values, rng: KeyedGenerator) -> tuple[Tensor, Values]:
        return super().transform(images - images.mean(), parameters, rng)


@planted(
    KIND, "neighbours in the batch do not matter", "mixes the images of two lenses", "makes other views of a lens",
    at="__call__",
)  # fmt: skip
class Mixes(Twins):
    def __call__(self, images: Tensor, parameters: Values, rng: KeyedGenerator) -> Batch:
        return super().__call__(0.9 * images + 0.1 * images.roll(1, 0), parameters, rng)


@planted(KIND, "the images that it gets are unchanged", "masks in place", "changes the images that it", at="__call__")
class InPlace(Renderings):
    def __call__(self, images: Tensor, parameters: Values, rng: KeyedGenerator) -> Batch:
        images[..., :4] = 0
        return super().__call__(images, parameters, rng)


@planted(
    KIND, "the images that it gets are unchanged", "mirrors an ellipticity in place", "changes the values of 'e2'",
    at="__call__",
)  # fmt: skip
class ParametersInPlace(Renderings):
    def __call__(self, images: Tensor, parameters: Values, rng: KeyedGenerator) -> Batch:
        parameters["e2"].neg_()
        return super().__call__(images.flip(-1), parameters, rng)


@planted(
    KIND,
    "it follows another strategy",
    "makes noise for two views",
    "fails on 3 views: ... Make as many",
    at="transform",
)
class TwoViews(Darker):
    def transform(self, images: Tensor, parameters: Values, rng: KeyedGenerator) -> tuple[Tensor, Values]:
        noise = torch.stack([rng.noise(f"noise/{view}", *images.shape[2:]) for view in (0, 1)], 1)
        return images + noise, parameters


@planted(KIND, "it follows another strategy", "returns the first two views", "another number of views", at="transform")
class FirstTwo(Darker):
    def transform(self, images: Tensor, parameters: Values, rng: KeyedGenerator) -> tuple[Tensor, Values]:
        images, parameters = super().transform(images, parameters, rng)
        return images[:, :2], {name: value[:, :2] for name, value in parameters.items()}


@planted(KIND, "it follows another strategy", "crops the views", "turns views of (1, 32, 32) into", at="transform")
class Crops(Darker):
    def transform(self, images: Tensor, parameters: Values, rng: KeyedGenerator) -> tuple[Tensor, Values]:
        return super().transform(images[..., 4:-4, 4:-4], parameters, rng)


@planted(
    KIND,
    "tensors are on the device of the images",
    "makes a mask on the CPU",
    "cannot run on a GPU: ... Make tensors on",
    at="transform",
)
class OnTheCpu(Darker):
    def transform(self, images: Tensor, parameters: Values, rng: KeyedGenerator) -> tuple[Tensor, Values]:
        return super().transform(images * torch.ones(images.shape[-1]), parameters, rng)


@planted(KIND, "tensors are on the device of the images", "fills views on the CPU", "views on cpu", at="__call__")
class FillsOnTheCpu(Twins):
    def __call__(self, images: Tensor, parameters: Values, rng: KeyedGenerator) -> Batch:
        batch = super().__call__(images, parameters, rng)
        return Batch((torch.zeros(batch.views[0].shape), batch.views[1]), batch.parameters, rng.index)


@pytest.mark.parametrize("fault", faults(KIND), ids=str)
def test_a_planted_fault_is_found(fault: Planted) -> None:
    check_found(fault)


def test_the_table_is_complete() -> None:
    check_complete(KIND)
