"""Base classes of pair strategies, which make the views of lenses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lenskit.generator import KeyedGenerator
from lenskit.kinds.parameter import Parameter


@dataclass
class Batch:
    """Batch of views that a method learns from.

    Attributes:
        views: Images (n, channels, height, width) of each view; row i of every view shows the same lens.
        parameters: For each recorded parameter, its value in each view: (n, number of views).
        index: (n,) int64, number of each lens.
    """

    views: tuple[Tensor, ...]
    parameters: dict[str, Tensor]
    index: Tensor


class PairStrategy(ABC):
    """Strategy that turns the renderings of each lens into views.

    It states the number of renderings per lens, and the parameter groups that these share. Only the strategy makes
    views: a method never crops or blurs images, because that may change the properties that the representation should
    encode.
    """

    draws: int
    """Number of renderings of each lens that the strategy takes."""

    shared_groups: frozenset[str] = frozenset()
    """Parameter groups that these renderings share. All other groups are sampled separately for each rendering."""

    views: int
    """Number of views of each lens that the strategy makes."""

    known: Sequence[Parameter] = ()
    """The recorded parameters, set by `prepare`."""

    def prepare(self, parameters: Sequence[Parameter], image_shape: tuple[int, int, int]) -> None:
        """Receive the recorded parameters and the shape of the images.

        It is called before the first batch, and again if images are resized to a size that the backbone accepts.

        Args:
            parameters: The recorded parameters.
            image_shape: Channels, height and width of the images from which views are made.

        Raises:
            UsageError: No views can be made from such images.
        """
        self.known = tuple(parameters)

    def __call__(self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator) -> Batch:
        """Make the views; by default the unchanged renderings.

        Args:
            images: (n, draws, channels, height, width).
            parameters: For each recorded parameter, its values (n, draws).
            rng: Random numbers of these lenses (group `views`), one row per lens.

        Returns:
            A batch with `views` views.
        """
        return Batch(images.unbind(1), parameters, rng.index)


class Transform(PairStrategy):
    """Pair strategy that transforms images.

    Alone it takes one image of a lens and makes two views of it. After a plus sign (`lens-fixed+blur`) it transforms
    the views of the strategy before the plus. Every view needs separate random numbers: include the number of the view
    in their name, such as `sigma/0`.
    """

    draws = 1
    views = 2

    @abstractmethod
    def transform(
        self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Transform views.

        Args:
            images: (n, views, channels, height, width).
            parameters: For each recorded parameter, its values (n, views).
            rng: Random numbers of these lenses, one row per lens.

        Returns:
            New images and parameters, in the same shapes. The parameters describe the new images.
        """

    def __call__(self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator) -> Batch:
        """Make `views` views of one image (n, 1, channels, height, width)."""
        copies = images.expand(-1, self.views, -1, -1, -1)
        values = {name: value.expand(-1, self.views) for name, value in parameters.items()}
        images, values = self.transform(copies, values, rng)
        return Batch(images.unbind(1), values, rng.index)


class Composition(PairStrategy):
    """Pair strategy followed by transforms, such as `lens-fixed+blur`.

    Args:
        first: Strategy that makes the views.
        transforms: Transforms of these views by name, in the order of their application.
    """

    def __init__(self, first: PairStrategy, transforms: Mapping[str, Transform]) -> None:
        self.first, self.transforms = first, dict(transforms)
        self.draws, self.shared_groups, self.views = first.draws, first.shared_groups, first.views

    def prepare(self, parameters: Sequence[Parameter], image_shape: tuple[int, int, int]) -> None:
        super().prepare(parameters, image_shape)
        for part in (self.first, *self.transforms.values()):
            part.prepare(parameters, image_shape)

    def __call__(self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator) -> Batch:
        """Make the views of the first strategy and transform them.

        Each transform gets separate random numbers.
        """
        batch = self.first(images, parameters, rng)
        views, values = torch.stack(batch.views, 1), batch.parameters
        for name, transform in self.transforms.items():
            views, values = transform.transform(views, values, rng.part(name))
        return Batch(views.unbind(1), values, batch.index)
